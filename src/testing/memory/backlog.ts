// One queue in memory. A message stands in one of three heaps (ready by age, delayed and leased by when that ends) or
// among the dead letters, so that every step is O(log n). Leases and delays end when somebody looks, or by one timer
// when somebody waits: a queue that nobody waits on sets none.
import type { Clock } from '../../core/clock.ts'
import type {
  ClaimedMessage,
  ClaimOptions,
  DeadMessage,
  ExtendResult,
  OutgoingMessage,
  QueueCount,
  Settlement,
  SettleResult,
} from '../../ports/queue.ts'
import { DeadLetters } from './dead-letters.ts'
import { Heap, type Placed } from './heap.ts'
import type { Capacity } from './limits.ts'
import { answer, type OpenCalls, type Waiting, waiting } from './waiting.ts'

interface Stored extends Placed {
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  /** Its place in the order of the queue. */
  order: number
  state: 'ready' | 'delayed' | 'leased'
  /** When its delay or its lease ends. */
  due: number
  starts: number
  claims: number
  /** Its newest lease: stays when it ends by time, until the message is claimed again or settled. */
  lease: string | undefined
}

interface DeadLetter {
  readonly message: Stored
  readonly reason: string
  readonly diedAt: number
}

const byOrder = (a: Stored, b: Stored): boolean => a.order < b.order
const byDue = (a: Stored, b: Stored): boolean => a.due < b.due || (a.due === b.due && a.order < b.order)

export class Backlog {
  readonly #name: string
  readonly #clock: Clock
  readonly #capacity: Capacity
  readonly #heaps = { ready: new Heap(byOrder), delayed: new Heap(byDue), leased: new Heap(byDue) }
  readonly #leases = new Map<string, Stored>()
  readonly #dead = new DeadLetters<DeadLetter>()
  readonly #waiters = new Map<Waiting<ClaimedMessage>, ClaimOptions>()
  #order = 0
  #leaseCount = 0
  #alarm: { readonly due: number; readonly cancel: () => void } | undefined

  constructor(name: string, clock: Clock, capacity: Capacity) {
    this.#name = name
    this.#clock = clock
    this.#capacity = capacity
  }

  send(messages: readonly OutgoingMessage[]): void {
    this.#capacity.reserve(messages.length)
    for (const { id, key, body, delayMs } of messages) {
      const message: Stored = {
        id,
        key,
        body,
        order: ++this.#order,
        state: 'ready',
        due: 0,
        starts: 0,
        claims: 0,
        lease: undefined,
        place: 0,
      }
      this.#rest(message, delayMs ?? 0)
    }
    this.#serve()
  }

  claim(options: ClaimOptions, open: OpenCalls): Promise<ClaimedMessage[]> {
    if (options.signal?.aborted) return answer([])
    this.#serve()
    const found = this.#take(options)
    if (found.length > 0 || options.waitMs === 0) return answer(found)
    const call = waiting<ClaimedMessage>(this.#clock, options, open, () => {
      this.#waiters.delete(call)
      this.#setAlarm()
    })
    this.#waiters.set(call, options)
    this.#setAlarm()
    return call.result
  }

  settle(settlements: readonly Settlement[]): SettleResult[] {
    this.#serve()
    const results = settlements.map((settlement): SettleResult => {
      const message = this.#leases.get(settlement.lease)
      if (message === undefined) return 'stale'
      this.#heaps[message.state].remove(message)
      this.#endLease(message)
      if (settlement.kind === 'done') this.#capacity.free(1)
      else if (settlement.kind === 'retry') this.#rest(message, settlement.delayMs)
      else if (settlement.kind === 'dead-letter')
        this.#dead.add({ message, reason: settlement.reason, diedAt: this.#clock.now() })
      else {
        message.starts--
        this.#rest(message, 0)
      }
      return 'settled'
    })
    this.#serve()
    return results
  }

  extend(leases: readonly string[], leaseMs: number): ExtendResult[] {
    this.#serve()
    const results = leases.map((lease): ExtendResult => {
      const message = this.#leases.get(lease)
      if (message === undefined) return 'stale'
      this.#heaps[message.state].remove(message)
      this.#put(message, 'leased', this.#clock.now() + leaseMs)
      return 'extended'
    })
    this.#setAlarm()
    return results
  }

  count(): QueueCount {
    this.#serve()
    const { ready, delayed, leased } = this.#heaps
    return { ready: ready.size, delayed: delayed.size, leased: leased.size, dead: this.#dead.size }
  }

  deadLetters(after: number, limit: number): DeadMessage[] {
    return this.#dead.page(after, limit).map(({ number, letter: { message, reason, diedAt } }) => {
      const { id, key, body, starts } = message
      return { handle: String(number), id, key, body, reason, starts, diedAt }
    })
  }

  redrive(handles: readonly string[]): number {
    let count = 0
    for (const handle of handles) {
      const letter = this.#dead.take(Number(handle))
      if (letter === undefined) continue
      count++
      // As if sent now: a heap of old messages must not come before what is waiting. Its claims go on, since the
      // fencing token must rise over its whole life.
      letter.message.order = ++this.#order
      letter.message.starts = 0
      this.#rest(letter.message, 0)
    }
    this.#serve()
    return count
  }

  #take({ limit, leaseMs }: ClaimOptions): ClaimedMessage[] {
    const taken: ClaimedMessage[] = []
    while (taken.length < limit) {
      const message = this.#heaps.ready.shift()
      if (message === undefined) break
      this.#endLease(message)
      const lease = `${this.#name}/${++this.#leaseCount}`
      message.lease = lease
      this.#leases.set(lease, message)
      message.starts++
      message.claims++
      this.#put(message, 'leased', this.#clock.now() + leaseMs)
      const { id, key, body, starts, claims } = message
      taken.push({ id, key, body, starts, lease, fencingToken: claims })
    }
    return taken
  }

  #endLease(message: Stored): void {
    if (message.lease !== undefined) this.#leases.delete(message.lease)
    message.lease = undefined
  }

  #rest(message: Stored, delayMs: number): void {
    if (delayMs > 0) this.#put(message, 'delayed', this.#clock.now() + delayMs)
    else this.#put(message, 'ready', 0)
  }

  #put(message: Stored, state: Stored['state'], due: number): void {
    message.state = state
    message.due = due
    this.#heaps[state].add(message)
  }

  /** Makes ready what is due and gives what is ready to those who wait, the longest waiting first. */
  #serve(): void {
    const now = this.#clock.now()
    for (const heap of [this.#heaps.delayed, this.#heaps.leased])
      for (let first = heap.first(); first !== undefined && first.due <= now; first = heap.first()) {
        heap.remove(first)
        this.#put(first, 'ready', 0)
      }
    for (const [call, options] of this.#waiters) {
      if (this.#heaps.ready.size === 0) break
      call.end(this.#take(options))
    }
    this.#setAlarm()
  }

  #setAlarm(): void {
    const due = this.#waiters.size === 0 ? undefined : this.#nextDue()
    if (due === this.#alarm?.due) return
    this.#alarm?.cancel()
    this.#alarm = undefined
    if (due === undefined) return
    // A timer may fire early (a long delay is cut to what setTimeout takes): then it is set again.
    const cancel = this.#clock.after(due - this.#clock.now(), () => {
      this.#alarm = undefined
      this.#serve()
    })
    this.#alarm = { due, cancel }
  }

  #nextDue(): number | undefined {
    const delayed = this.#heaps.delayed.first()?.due
    const leased = this.#heaps.leased.first()?.due
    if (delayed === undefined || leased === undefined) return delayed ?? leased
    return Math.min(delayed, leased)
  }
}
