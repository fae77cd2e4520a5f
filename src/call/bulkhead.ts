// A bulkhead, of a destination or of who answers: so many calls under way and no more, and a short line in front of it.
import { type Clock, systemClock } from '../core/clock.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { wholeOption } from '../core/whole-option.ts'

export interface BulkheadOptions {
  /** So many calls may be under way. Default 50. */
  readonly concurrency?: number
  /** So many more may wait for a place; 0: none waits. Default 100. */
  readonly waiting?: number
  /** Who has not found a place after this is refused. Default 1 s. */
  readonly longestWait?: Duration
}

const names: OptionNames<BulkheadOptions> = { concurrency: true, waiting: true, longestWait: true }

export interface BulkheadRefusal {
  readonly refused: true
  readonly reason: 'bulkhead_full'
  /** `line`: too many wait already. `wait`: no place came free in time. */
  readonly because: 'line' | 'wait'
}

/** The caller's signal fired while it waited. */
export interface Cancelled {
  readonly refused: true
  readonly reason: 'cancelled'
}

export interface BulkheadSnapshot {
  readonly underWay: number
  readonly waiting: number
  /** Since it was made. */
  readonly refused: number
}

export interface EnterOptions {
  readonly signal?: AbortSignal | undefined
  /** Waits no longer than this, whatever the longest wait is. */
  readonly withinMs?: number | undefined
}

interface Waiter {
  readonly dueMs: number
  /** Undefined: the place is its own. */
  readonly end: (refusal: BulkheadRefusal | Cancelled | undefined) => void
}

export const cancelled: Cancelled = Object.freeze({ refused: true, reason: 'cancelled' })

/**
 * Holds calls apart like the water in the compartments of a ship (Nygard, "Release It!", 2007): a destination that hangs takes `concurrency`
 * calls of its callers, and no more. First come, first served; nobody overtakes the line. One timer for the whole line, and none without one.
 */
export class Bulkhead {
  readonly #concurrency: number
  readonly #longestLine: number
  readonly #longestWaitMs: number
  readonly #clock: Clock
  /** In the order in which they came. */
  readonly #line = new Set<Waiter>()
  #underWay = 0
  #refused = 0
  #cancelTimer: (() => void) | undefined

  constructor(options: BulkheadOptions = {}, clock: Clock = systemClock) {
    checkOptions('bulkhead', options, names)
    this.#concurrency = wholeOption(options.concurrency ?? 50, 'bulkhead.concurrency', 1, 1_000_000)
    this.#longestLine = wholeOption(options.waiting ?? 100, 'bulkhead.waiting', 0, 1_000_000)
    this.#longestWaitMs = milliseconds(options.longestWait ?? '1s', 'bulkhead.longestWait')
    this.#clock = clock
  }

  /** Takes a place if there is one at once. Whoever took a place gives it back by `leave`, once, when the call has really ended. */
  tryEnter(): boolean {
    // Who waits has handed no place on: while somebody does, all of them are taken.
    if (this.#underWay >= this.#concurrency) return false
    this.#underWay += 1
    return true
  }

  /** Takes a place, waiting for it in the line if need be; resolves to undefined with it, or to why there is none. */
  enter({
    signal,
    withinMs = Number.POSITIVE_INFINITY,
  }: EnterOptions = {}): Promise<BulkheadRefusal | Cancelled | undefined> {
    if (signal?.aborted) return Promise.resolve(cancelled)
    if (this.tryEnter()) return Promise.resolve(undefined)
    const waitMs = Math.min(this.#longestWaitMs, withinMs)
    if (this.#line.size >= this.#longestLine || !(waitMs > 0)) {
      this.#refused += 1
      return Promise.resolve(full(this.#line.size >= this.#longestLine ? 'line' : 'wait'))
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        dueMs: this.#clock.elapsed() + waitMs,
        end: (refusal) => {
          this.#line.delete(waiter)
          signal?.removeEventListener('abort', onAbort)
          if (this.#line.size === 0) this.#disarm()
          resolve(refusal)
        },
      }
      const onAbort = () => waiter.end(cancelled)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#line.add(waiter)
      this.#arm(waiter.dueMs)
    })
  }

  /** Gives a place back: to the first of the line, if there is one. */
  leave(): void {
    const [first] = this.#line
    if (first === undefined) this.#underWay -= 1
    else first.end(undefined)
  }

  snapshot(): BulkheadSnapshot {
    return { underWay: this.#underWay, waiting: this.#line.size, refused: this.#refused }
  }

  /** For when the first of all is due: those who may wait for less long than others are not the first of the line. */
  #armedMs = Number.POSITIVE_INFINITY

  #arm(dueMs: number): void {
    if (dueMs >= this.#armedMs) return
    this.#disarm()
    this.#armedMs = dueMs
    this.#cancelTimer = this.#clock.after(Math.max(1, Math.ceil(dueMs - this.#clock.elapsed())), () =>
      this.#refuseDue(),
    )
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#armedMs = Number.POSITIVE_INFINITY
  }

  #refuseDue(): void {
    this.#disarm()
    const nowMs = this.#clock.elapsed()
    let nextMs = Number.POSITIVE_INFINITY
    for (const waiter of [...this.#line])
      if (waiter.dueMs <= nowMs) {
        this.#refused += 1
        waiter.end(full('wait'))
      } else nextMs = Math.min(nextMs, waiter.dueMs)
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs)
  }
}

function full(because: 'line' | 'wait'): BulkheadRefusal {
  return { refused: true, reason: 'bulkhead_full', because }
}
