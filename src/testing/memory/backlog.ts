// One queue in memory. A message that is not a dead letter is among the claimable ones, or held back by its key, or in one of
// two heaps (delayed and leased, by when that ends), so that every step is O(log n). Leases and delays end when somebody
// looks, or by one timer when somebody waits: a queue that nobody waits on sets none.
import type { Clock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
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
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import type { Duplicate, QueueRules } from '../../ports/queue-rules.ts'
import { Bucket } from './bucket.ts'
import { Claimable } from './claimable.ts'
import { DedupKeys } from './dedup-keys.ts'
import { Finished } from './finished.ts'
import type { End, Flows } from './flows.ts'
import { Heap } from './heap.ts'
import { KeyLines } from './key-lines.ts'
import { type Capacity, engineName } from './limits.ts'
import { Numbered } from './numbered.ts'
import { Schedules } from './schedules.ts'
import { newMessage, type StoredMessage } from './stored-message.ts'
import { answer, type OpenCalls, type Waiting, waiting } from './waiting.ts'

interface DeadLetter {
  readonly message: StoredMessage
  readonly reason: string
  readonly diedAt: number
}

const historyLength = 10
/** How many of those that a message waits for are told. */
const namedAtMost = 10
const byDue = (a: StoredMessage, b: StoredMessage): boolean =>
  a.due < b.due || (a.due === b.due && a.order < b.order)

export class Backlog {
  readonly schedules: Schedules = new Schedules()
  readonly #name: string
  readonly #clock: Clock
  readonly #capacity: Capacity
  /** All that are not dead letters. */
  readonly #messages = new Numbered<StoredMessage>()
  readonly #heaps = { delayed: new Heap(byDue), leased: new Heap(byDue) }
  readonly #leases = new Map<string, StoredMessage>()
  readonly #dead = new Numbered<DeadLetter>()
  readonly #lines = new KeyLines()
  readonly #keys: DedupKeys
  readonly #flows: Flows
  readonly #finished: Finished
  readonly #waiters = new Map<Waiting<ClaimedMessage>, ClaimOptions>()
  #rules: QueueRules = {}
  #claimable = new Claimable({})
  #bucket: Bucket | undefined
  #paused = false
  #leaseCount = 0
  #waitingCount = 0
  #alarm: { readonly due: number; readonly cancel: () => void } | undefined

  constructor(name: string, clock: Clock, capacity: Capacity, flows: Flows) {
    this.#flows = flows
    this.#finished = new Finished(clock)
    this.#name = name
    this.#clock = clock
    this.#capacity = capacity
    this.#keys = new DedupKeys(capacity)
  }

  get rules(): QueueRules {
    return this.#rules
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Throws CONFIGURATION when the queue cannot be given these rules now. */
  checkChange({ keyOrder = false }: QueueRules): void {
    this.#serve()
    if (keyOrder === (this.#rules.keyOrder ?? false) || this.#messages.size === 0) return
    throw new SpillwayError(
      'CONFIGURATION',
      `The queue '${this.#name}' holds ${this.#messages.size} messages, so its 'keyOrder' cannot change; nothing was changed.`,
      { engine: engineName },
    )
  }

  change(rules: QueueRules): void {
    this.#serve()
    this.#rules = rules
    const { rate } = rules
    if (rate?.count !== this.#bucket?.rate.count || rate?.perMs !== this.#bucket?.rate.perMs)
      this.#bucket = rate && new Bucket(rate, this.#clock.now())
    this.#claimable = new Claimable(rules)
    if (!rules.flow)
      for (const message of this.#messages.all()) {
        if (message.state !== 'waiting') continue
        this.#flows.stopWaiting(message)
        this.letGo(message, false)
      }
    for (const message of this.#messages.all())
      if (message.state === 'leased') this.#claimable.lease(message)
      else if (message.state === 'ready') this.#offer(message)
    this.#serve()
  }

  send(messages: readonly OutgoingMessage[]): Duplicate[] {
    this.#serve()
    const duplicates = this.#duplicates(messages)
    this.#flows.check(messages)
    this.#capacity.reserve(messages.length - duplicates.length)
    const passedOver = new Set(duplicates.map(({ index }) => index))
    const now = this.#clock.now()
    if (this.#rules.flow)
      for (const { index, id } of duplicates) this.#flows.duplicate(messages[index]!.id, id)
    for (const [index, message] of messages.entries()) {
      if (passedOver.has(index)) continue
      const { id, dedup, delayMs = 0, after } = message
      const held = dedup && this.#keys.hold(dedup.key, id, now + (dedup.forMs ?? 0))
      this.#enter(newMessage(message, held, this.#rules.flow === true), delayMs, after)
    }
    this.#serve()
    return duplicates
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
      this.#lift(message)
      this.#endLease(message)
      if (message.cancelled) this.#remove(message, 'gone')
      else if (settlement.kind === 'done') this.#remove(message, 'done')
      else if (settlement.kind === 'retry') this.#retry(message, settlement)
      else if (settlement.kind === 'dead-letter') {
        this.#leave(message, 'dead')
        this.#dead.add({ message, reason: settlement.reason, diedAt: this.#clock.now() })
      } else {
        message.starts--
        this.#rest(message, 0)
      }
      return 'settled'
    })
    this.#serve()
    return results
  }

  extend(
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[] = [],
  ): ExtendResult[] {
    this.#serve()
    const results = leases.map((lease, index): ExtendResult => {
      const message = this.#leases.get(lease)
      if (message === undefined) return 'stale'
      if (message.state !== 'leased') {
        // It expired: its place may be another's by now.
        if (this.#places() < 1 || !this.#claimable.hasRoom(message)) return 'stale'
        this.#lift(message)
        this.#claimable.lease(message)
      } else this.#heaps.leased.remove(message)
      this.#wait(message, 'leased', leaseMs)
      message.progress = progress[index] ?? message.progress
      return message.cancelled ? 'cancelled' : 'extended'
    })
    this.#setAlarm()
    return results
  }

  count(): QueueCount {
    this.#serve()
    const { delayed, leased } = this.#heaps
    return {
      ready: this.#messages.size - delayed.size - leased.size - this.#waitingCount,
      delayed: delayed.size,
      waiting: this.#waitingCount,
      leased: leased.size,
      dead: this.#dead.size,
      paused: this.#paused,
    }
  }

  deadLetters(after: number, limit: number): DeadMessage[] {
    return this.#dead.page(after, limit).map(({ number, item: { message, reason, diedAt } }) => {
      const { id, key, body, starts, history } = message
      return { handle: String(number), id, key, body, reason, starts, diedAt, history }
    })
  }

  redrive(handles: readonly string[]): number {
    this.#serve()
    let count = 0
    for (const handle of handles) {
      const letter = this.#dead.take(Number(handle))
      if (letter === undefined) continue
      count++
      // As if sent now: a heap of old messages must not come before what is waiting. Its claims go on, since the
      // fencing token must rise over its whole life.
      letter.message.starts = 0
      letter.message.suspect = false
      letter.message.history = []
      letter.message.orphan = false
      letter.message.redrivenAt = this.#clock.now()
      if (letter.message.tracked) this.#flows.redriven(letter.message)
      this.#enter(letter.message, 0)
    }
    this.#serve()
    return count
  }

  pause(): void {
    this.#serve()
    this.#paused = true
    this.#setAlarm()
  }

  resume(): void {
    this.#paused = false
    this.#serve()
  }

  peek(after: number, limit: number): PeekedMessage[] {
    this.#serve()
    return this.#messages.page(after, limit).map(({ number, item }) => {
      const { id, key, body, state, starts, due, priority, group, progress } = item
      const ends = state === 'ready' || state === 'waiting' ? undefined : due
      const base = { handle: String(number), id, key, body, state, starts, due: ends, priority, group }
      if (state === 'waiting') return { ...base, after: [...item.waitsFor].slice(0, namedAtMost) }
      return state === 'leased' && progress !== undefined ? { ...base, progress } : base
    })
  }

  cancel(ids: readonly string[]): CancelResult[] {
    this.#serve()
    const results = new Map<string, CancelResult>(ids.map((id) => [id, 'unknown']))
    for (const message of this.#messages.all()) {
      const result = results.get(message.id)
      if (result === undefined) continue
      if (message.state === 'leased') {
        message.cancelled = true
        results.set(message.id, 'signalled')
      } else {
        this.#drop(message)
        if (result === 'unknown') results.set(message.id, 'removed')
      }
    }
    this.#serve()
    return ids.map((id) => results.get(id)!)
  }

  purge(what: 'waiting' | 'dead'): number {
    this.#serve()
    if (what === 'dead') {
      const letters = this.#dead.page(0, this.#dead.size)
      for (const { number, item } of letters) {
        this.#dead.take(number)
        if (item.message.tracked) this.#flows.ended(item.message, 'gone', true)
        this.#forget(item.message)
      }
      this.#serve()
      return letters.length
    }
    const waits = this.#messages.all().filter(({ state }) => state !== 'leased')
    for (const message of waits) this.#drop(message)
    this.#serve()
    return waits.length
  }

  finished(options: PeekOptions): FinishedMessage[] {
    return this.#finished.page(options, this.#rules.finished)
  }

  trimFinished(): number {
    const removed = this.#finished.trim(this.#rules.finished)
    for (const message of removed) this.#forget(message)
    return removed.length
  }

  /** It waits for nothing more: it becomes what it would be without. `now`: what can be claimed by that is offered at once. */
  letGo(message: StoredMessage, offered = true): void {
    this.#waitingCount--
    const leftMs = message.due - this.#clock.now()
    if (offered || leftMs > 0) this.#rest(message, leftMs)
    else message.state = 'ready'
  }

  serve(): void {
    this.#serve()
  }

  /** Also of those before it in the call. */
  #duplicates(messages: readonly OutgoingMessage[]): Duplicate[] {
    const duplicates: Duplicate[] = []
    const ofCall = new Map<string, string>()
    for (const [index, { id, dedup }] of messages.entries()) {
      if (dedup === undefined) continue
      const holder = this.#keys.holder(dedup.key) ?? ofCall.get(dedup.key)
      if (holder === undefined) ofCall.set(dedup.key, id)
      else duplicates.push({ index, id: holder })
    }
    return duplicates
  }

  #take({ limit, leaseMs }: ClaimOptions): ClaimedMessage[] {
    const taken: ClaimedMessage[] = []
    if (this.#paused) return taken
    const most = Math.min(limit, this.#places(), this.#starts())
    while (taken.length < most) {
      const message = this.#claimable.shift()
      if (message === undefined) break
      if (message.lease !== undefined) message.suspect = true
      this.#endLease(message)
      const { orphan, redrivenAt } = message
      const lease = `${this.#name}/${++this.#leaseCount}`
      message.lease = lease
      this.#leases.set(lease, message)
      message.starts++
      message.claims++
      this.#wait(message, 'leased', leaseMs)
      const { id, key, body, starts, suspect, claims } = message
      const claimed = { id, key, body, starts, suspect, lease, fencingToken: claims }
      const told = redrivenAt === undefined ? claimed : { ...claimed, redrivenAt }
      taken.push(orphan ? { ...told, orphan } : told)
    }
    this.#bucket?.take(taken.length)
    return taken
  }

  /** How many more may be leased at once. */
  #places(): number {
    return (this.#rules.concurrency ?? Number.POSITIVE_INFINITY) - this.#heaps.leased.size
  }

  /** How many more may be started now. */
  #starts(): number {
    return this.#bucket?.starts(this.#clock.now()) ?? Number.POSITIVE_INFINITY
  }

  #retry(message: StoredMessage, { delayMs, reason }: Settlement & { readonly kind: 'retry' }): void {
    message.suspect = false
    const failed = { start: message.starts, at: this.#clock.now() }
    if (reason !== undefined)
      message.history = [...message.history, { ...failed, reason }].slice(-historyLength)
    this.#rest(message, delayMs)
  }

  #enter(message: StoredMessage, delayMs: number, after?: OutgoingMessage['after']): void {
    message.order = this.#messages.add(message)
    if (this.#rules.keyOrder) this.#line(message)
    if (message.tracked) this.#flows.entered(message)
    if (after !== undefined) this.#flows.wait(message, after, this)
    if (message.waitsFor.size === 0) this.#rest(message, delayMs)
    else {
      message.state = 'waiting'
      message.due = this.#clock.now() + delayMs
      this.#waitingCount++
    }
  }

  #line(message: StoredMessage): void {
    message.turn = 0
    if (message.tracked && this.#flows.isWaitedFor(message.id)) this.#lines.enterFirst(message)
    else this.#lines.enter(message)
  }

  #rest(message: StoredMessage, delayMs: number): void {
    if (delayMs > 0) this.#wait(message, 'delayed', delayMs)
    else {
      message.state = 'ready'
      this.#offer(message)
    }
  }

  #wait(message: StoredMessage, state: 'delayed' | 'leased', ms: number): void {
    message.state = state
    message.due = this.#clock.now() + ms
    this.#heaps[state].add(message)
  }

  /** A ready message can be claimed, unless there is another of its key ahead of it. */
  #offer(message: StoredMessage): void {
    if (message.ahead === undefined) this.#claimable.add(message)
  }

  /** Takes it from where its state has put it. */
  #lift(message: StoredMessage): void {
    if (message.state === 'waiting') {
      this.#flows.stopWaiting(message)
      this.#waitingCount--
    } else if (message.state !== 'ready') this.#heaps[message.state].remove(message)
    else if (message.ahead === undefined) this.#claimable.remove(message)
    if (message.state === 'leased') this.#claimable.free(message)
  }

  #endLease(message: StoredMessage): void {
    if (message.lease !== undefined) this.#leases.delete(message.lease)
    message.lease = undefined
    message.progress = undefined
  }

  /** Out of the queue, for good. It waits. */
  #drop(message: StoredMessage): void {
    this.#lift(message)
    this.#endLease(message)
    this.#remove(message, 'gone')
  }

  #remove(message: StoredMessage, how: End): void {
    this.#leave(message, how)
    if (how === 'done' && this.#rules.finished !== undefined) this.#finished.add(message)
    else this.#forget(message)
  }

  /** Out of the queue, perhaps to the dead letters: the next one of its key has its turn. It was lifted. */
  #leave(message: StoredMessage, how: End): void {
    this.#messages.take(message.order)
    if (message.tracked) this.#flows.ended(message, how)
    const next = this.#lines.leave(message)
    if (next?.state === 'ready') this.#claimable.add(next)
    if (message.dedup !== undefined) this.#keys.leave(message.dedup)
  }

  #forget(message: StoredMessage): void {
    this.#keys.expire(this.#clock.now())
    if (message.dedup === undefined) this.#capacity.free(1)
    else this.#keys.forget(message.dedup)
  }

  /** Makes ready what is due and gives what can be claimed to those who wait, the longest waiting first. */
  #serve(): void {
    const now = this.#clock.now()
    this.#keys.expire(now)
    for (const heap of [this.#heaps.delayed, this.#heaps.leased])
      for (let first = heap.first(); first !== undefined && first.due <= now; first = heap.first()) {
        this.#lift(first)
        if (first.cancelled) {
          this.#endLease(first)
          this.#remove(first, 'gone')
        } else this.#rest(first, 0)
      }
    for (const [call, options] of this.#waiters) {
      const found = this.#take(options)
      if (found.length === 0) break
      call.end(found)
    }
    this.#claimable.tidy()
    this.#setAlarm()
    this.#flows.serve()
  }

  #setAlarm(): void {
    const due = this.#waiters.size === 0 || this.#paused ? undefined : this.#nextDue()
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
    const { delayed, leased } = this.#heaps
    const dues = [delayed.first()?.due, leased.first()?.due]
    if (!this.#claimable.empty && this.#places() > 0) dues.push(this.#bucket?.nextAt())
    const known = dues.filter((due) => due !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }
}
