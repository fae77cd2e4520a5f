// The loop of a consumer: claims, begins, and stops. One claim and one settle call at a time, however many messages are
// under way.
import { pauseAfter } from '../core/backoff.ts'
import { type Clock, sleep } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { asSpillwayError, isFinal, SpillwayError } from '../core/errors.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { OnSettled } from '../core/settled.ts'
import type { QueuePort } from '../ports/queue.ts'
import { type AttemptSettings, Attempts, type Handling } from './attempts.ts'
import type { Delivery, Held } from './delivery.ts'
import { Reserve } from './reserve.ts'
import { Settler } from './settler.ts'
import { aloneFrom, aloneMs, suspectGate } from './suspects.ts'
import { keepUp } from './upkeep.ts'

export interface WorkerSettings extends AttemptSettings {
  /** How many handlers run at once, how many messages each takes, and how long it waits for so many. */
  readonly concurrency: number
  readonly size: number
  readonly waitMs: number
  readonly leaseMs: number
}

/** How long after its abort an attempt at stop may linger before its lease is given back all the same. */
const lingerMs = 1_000
const claimWaitMs = 30_000

export class Worker<Out> {
  readonly #queue: string
  readonly #port: QueuePort
  readonly #settings: WorkerSettings
  readonly #clock: Clock
  /** A stop has waited long enough. */
  readonly #abandon: AbortSignal
  readonly #report: (error: SpillwayError, messageId?: string) => void
  readonly #settler: Settler
  readonly #attempts: Attempts<Out>
  readonly #reserve: Reserve
  /** Where leases are counted, one that is only held would take the place of one that is handled elsewhere. */
  readonly #reserves: boolean
  /** Claimed, waiting for a free place. No suspect is ever among them. */
  readonly #waiting: Held[] = []
  /** Suspects that have lived through their first second. */
  readonly #proved = new Set<Delivery>()
  #starting = false
  #cancelBatchTimer: (() => void) | undefined
  #changed: (() => void) | undefined
  /** Ends the claim that is waiting: at a stop, and when it asks for more than there is use for any longer. */
  #claiming = new AbortController()
  #failures = 0

  constructor(
    contract: QueueContract<unknown, Out>,
    port: QueuePort,
    handling: Handling<Out>,
    settings: WorkerSettings,
    clock: Clock,
    abandon: AbortSignal,
    onReport: OnReport | undefined,
    onSettled?: OnSettled,
  ) {
    this.#queue = contract.queue
    this.#port = port
    this.#settings = settings
    this.#clock = clock
    this.#abandon = abandon
    const from = `the consumer of ${contract.queue}`
    const report = guarded(onReport)
    this.#report = (error, messageId) => report({ from, error, messageId })
    this.#settler = new Settler(contract.queue, port, clock, settings.leaseMs, abandon, this.#report)
    const onFree = (tookMs: number) => {
      this.#reserve.handled(tookMs)
      this.#startWaiting()
      this.#change()
    }
    const told = onSettled && guarded(onSettled, 'onSettled')
    this.#attempts = new Attempts(
      contract,
      handling,
      settings,
      clock,
      this.#settler,
      this.#report,
      onFree,
      told,
    )
    this.#reserve = new Reserve(settings.concurrency * settings.size, settings.leaseMs)
    this.#reserves = contract.maxConcurrency === undefined && contract.groupConcurrency === undefined
  }

  async run(stopping: AbortSignal): Promise<void> {
    const { leaseMs, deadlineMs } = this.#settings
    const endUpkeep = keepUp(
      this.#port,
      this.#attempts,
      { queue: this.#queue, leaseMs, deadlineMs },
      this.#clock,
      this.#report,
      (now) => this.#giveBackOld(now),
    )
    const onStop = () => {
      this.#attempts.stopping = true
      this.#claiming.abort()
      this.#change()
    }
    stopping.addEventListener('abort', onStop, { once: true })
    try {
      while (!stopping.aborted) await this.#claimOnce(stopping)
    } finally {
      this.#attempts.stopping = true
      this.#cancelBatchTimer?.()
      this.#giveBack(this.#waiting.splice(0))
      await this.#finish()
      endUpkeep()
      this.#attempts.close()
      await this.#settler.settled()
    }
  }

  async #claimOnce(stopping: AbortSignal): Promise<void> {
    const room = this.#room()
    if (room === 0) return this.#untilChanged()
    const suspects: Held[] = []
    for (const held of await this.#claim(room, claimWaitMs, stopping))
      if (held.message.suspect) suspects.push(held)
      else this.#waiting.push(held)
    this.#startWaiting()
    if (suspects.length > 0) await this.#handleSuspects(suspects, stopping)
  }

  /** How many to claim now. None while enough is held, so that a claim is worth its while. */
  #room(): number {
    const { concurrency, size } = this.#settings
    if (this.#settler.full) return 0
    const free = concurrency - this.#attempts.places
    const reserve = this.#reserves ? this.#reserve.size : 0
    const room = free * size + reserve - this.#waiting.length
    if (free > 0 && this.#waiting.length < size) return room
    return room > 0 && room >= reserve / 2 ? room : 0
  }

  /** What can be handled of what was claimed; nothing when it failed, after a pause. Throws what is final. */
  async #claim(limit: number, waitMs: number, stopping: AbortSignal): Promise<Held[]> {
    const { leaseMs } = this.#settings
    const { signal } = this.#claiming
    try {
      const claimed = await this.#port.claim(this.#queue, { limit, leaseMs, waitMs, signal })
      this.#failures = 0
      const heldUntil = this.#clock.elapsed() + leaseMs
      const held: Held[] = []
      for (const message of claimed) if (!this.#attempts.buried(message)) held.push({ message, heldUntil })
      return held
    } catch (thrown) {
      if (stopping.aborted) return []
      this.#report(asSpillwayError(thrown))
      if (isFinal(thrown)) throw thrown
      this.#failures += 1
      await sleep(this.#clock, pauseAfter(this.#failures), stopping).catch(() => {})
      return []
    }
  }

  /** Begins what there is a place for. Called while it works, it leaves the rest to the call that is at work. */
  #startWaiting(): void {
    if (this.#starting) return
    this.#starting = true
    const { concurrency, size } = this.#settings
    while (
      this.#waiting.length > 0 &&
      this.#attempts.places < concurrency &&
      !this.#attempts.stopping &&
      (size === 1 || this.#isFull())
    )
      if (size === 1) this.#begin(this.#waiting.shift()!)
      else this.#beginBatch(this.#waiting.splice(0, size))
    this.#starting = false
  }

  /** Whether a batch need not wait any longer for more; if it must, it is looked at again in time. */
  #isFull(): boolean {
    const { size, waitMs, leaseMs } = this.#settings
    if (this.#waiting.length >= size) return true
    const leftMs = this.#waiting[0]!.heldUntil - leaseMs + waitMs - this.#clock.elapsed()
    if (leftMs <= 0) return true
    this.#cancelBatchTimer?.()
    this.#cancelBatchTimer = this.#clock.after(leftMs, () => this.#startWaiting())
    return false
  }

  /** Whatever outlived its lease in hand, since the loop was blocked, may be another's by now. */
  #begin(held: Held): Delivery | undefined {
    return this.#clock.elapsed() < held.heldUntil ? this.#attempts.begin(held) : undefined
  }

  #beginBatch(held: readonly Held[]): void {
    const now = this.#clock.elapsed()
    const ours = held.filter(({ heldUntil }) => now < heldUntil)
    if (ours.length > 0) this.#attempts.beginBatch(ours)
  }

  /**
   * Works off suspects, one after the other. When one begins nothing is in hand but suspects that have lived through their first
   * second: whatever it may do to this process, it costs no other message a start, and these a second one at most. At
   * its third start, and at its last, it is alone. While there are suspects nothing else is claimed.
   */
  async #handleSuspects(found: readonly Held[], stopping: AbortSignal): Promise<void> {
    let suspect = found.length === 1 && this.#isIdle ? found[0] : undefined
    let leave = suspect && suspectGate.tryEnter()
    if (!leave) this.#giveBack(found)
    for (;;) {
      if (!leave) {
        leave = await suspectGate.enter(this.#clock, aloneMs, stopping)
        if (!leave) return
        suspect = await this.#nextSuspect(stopping).catch((thrown) => {
          leave?.()
          throw thrown
        })
      }
      // What has ended is settled first: it must not come again because of what this one does.
      await this.#settler.settled()
      if (suspect && stopping.aborted) this.#giveBack([suspect])
      const delivery = suspect && !stopping.aborted ? this.#begin(suspect) : undefined
      if (!delivery) return leave()
      delivery.onEnd(leave)
      await this.#alone(delivery, stopping)
      if (!this.#mustBeAlone(delivery.attempt)) {
        leave()
        this.#proved.add(delivery)
        delivery.onEnd(() => this.#proved.delete(delivery))
      }
      leave = undefined
    }
  }

  /** Waits until the next one may begin, and claims one message; undefined when that is none, or no suspect. */
  async #nextSuspect(stopping: AbortSignal): Promise<Held | undefined> {
    for (let isReady = () => this.#isQuiet; ; isReady = () => this.#isIdle) {
      while (!isReady() && !stopping.aborted) await this.#untilChanged()
      if (stopping.aborted) return undefined
      await this.#settler.settled()
      const [held] = await this.#claim(1, 0, stopping)
      if (!held) return undefined
      if (!held.message.suspect) {
        this.#waiting.push(held)
        this.#startWaiting()
        return undefined
      }
      if (this.#isIdle || !this.#mustBeAlone(held.message.starts)) return held
      this.#giveBack([held])
    }
  }

  #mustBeAlone(start: number): boolean {
    return start >= Math.min(aloneFrom, this.#settings.retry.attempts)
  }

  get #isIdle(): boolean {
    return this.#attempts.running.size === 0 && this.#waiting.length === 0
  }

  /** Nothing is in hand but suspects that have lived through their first second, and there is a place. */
  get #isQuiet(): boolean {
    const { running, places } = this.#attempts
    return (
      running.size === this.#proved.size && this.#waiting.length === 0 && places < this.#settings.concurrency
    )
  }

  async #alone(delivery: Delivery, stopping: AbortSignal): Promise<void> {
    const isLast = delivery.attempt >= this.#settings.retry.attempts
    const { promise, resolve } = Promise.withResolvers<void>()
    delivery.onEnd(resolve)
    const onStop = () => resolve()
    stopping.addEventListener('abort', onStop, { once: true })
    const cancel = isLast ? () => {} : this.#clock.after(aloneMs, resolve)
    await promise
    cancel()
    stopping.removeEventListener('abort', onStop)
  }

  /** A third of a lease has gone, and no place has become free: another consumer may have one. */
  #giveBackOld(now: number): void {
    const { leaseMs, concurrency } = this.#settings
    // While a place is free what waits is a batch that may still grow.
    if (this.#attempts.places < concurrency) return
    const old = this.#waiting.findIndex(({ heldUntil }) => heldUntil - now > (leaseMs * 2) / 3)
    const count = old < 0 ? this.#waiting.length : old
    if (count === 0) return
    this.#reserve.stuck()
    // Else it would get them back.
    this.#claiming.abort()
    if (!this.#attempts.stopping) this.#claiming = new AbortController()
    this.#giveBack(this.#waiting.splice(0, count))
    this.#change()
  }

  #giveBack(held: readonly Held[]): void {
    for (const { message } of held) this.#settler.add({ lease: message.lease, kind: 'release' })
  }

  /** Waits for what is under way; once `abandon` fires aborts it, and after a moment gives the leases back regardless. */
  async #finish(): Promise<void> {
    const abandon = this.#abandon
    const abort = () => {
      this.#attempts.abortAll(new SpillwayError('ABORTED', 'The consumer is stopping.'))
      this.#clock.after(lingerMs, () => this.#attempts.releaseAll())
    }
    if (abandon.aborted) abort()
    else abandon.addEventListener('abort', abort, { once: true })
    while (this.#attempts.running.size > 0) await this.#untilChanged()
    abandon.removeEventListener('abort', abort)
  }

  #untilChanged(): Promise<void> {
    if (this.#settler.full && !this.#attempts.stopping) return this.#settler.drained()
    return new Promise((resolve) => {
      this.#changed = resolve
    })
  }

  #change(): void {
    this.#changed?.()
    this.#changed = undefined
  }
}
