// What stands between a caller and one destination, put together around one attempt: cancellation, deadline, bulkhead, breaker.
import { type Clock, systemClock } from '../core/clock.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { RetryBudget, type RetryBudgetOptions } from '../core/retry-budget.ts'
import { Breaker, type BreakerRefusal, type Ending } from './breaker.ts'
import type { BreakerOptions } from './breaker-rules.ts'
import {
  Bulkhead,
  type BulkheadOptions,
  type BulkheadRefusal,
  type Cancelled,
  cancelled,
} from './bulkhead.ts'

export interface DestinationOptions {
  readonly breaker?: BreakerOptions | undefined
  readonly bulkhead?: BulkheadOptions | undefined
  readonly retryBudget?: RetryBudgetOptions | undefined
}

const names: OptionNames<DestinationOptions> = { breaker: true, bulkhead: true, retryBudget: true }

/** Too little time is left to send anything. */
export interface DeadlineRefusal {
  readonly refused: true
  readonly reason: 'deadline'
}

/** The work was not begun: it is certain that nothing was done. */
export type Refusal = BreakerRefusal | BulkheadRefusal | DeadlineRefusal | Cancelled

export interface Answered<Value> {
  readonly refused: false
  readonly value: Value
}

export interface AttemptOptions<Value> {
  /** By the clock's `elapsed()`: when the deadline passes. */
  readonly endsMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** What a value says of the destination. By default every value is a success. */
  readonly judge?: ((value: Value) => Ending) | undefined
}

/** With less than this left nothing useful can be sent and answered: what is below is over. */
export const smallestUsefulMs = 5

const tooLate: DeadlineRefusal = Object.freeze({ refused: true, reason: 'deadline' })
const none: AttemptOptions<unknown> = {}

/** Breaker, bulkhead and retry budget of one destination: kept as long as it is called. */
export class Destination {
  readonly breaker: Breaker
  readonly bulkhead: Bulkhead
  /** For whoever repeats attempts: `called` for each call, `tryRetry` before each attempt after the first. */
  readonly retryBudget: RetryBudget
  readonly #clock: Clock

  constructor(
    options: DestinationOptions = {},
    clock: Clock = systemClock,
    random: () => number = Math.random,
  ) {
    checkOptions('destination', options, names)
    this.breaker = new Breaker(options.breaker, { clock, random })
    this.bulkhead = new Bulkhead(options.bulkhead, clock)
    this.retryBudget = new RetryBudget(options.retryBudget, clock)
    this.#clock = clock
  }

  /**
   * Runs the work once, unless it is refused: by the signal, by the deadline, by the breaker, by the bulkhead. An open breaker is told before the line of
   * the bulkhead and again after it. What the work throws is a failure of the destination and is thrown on. The work itself ends at the deadline and
   * when the signal fires: until it has ended it keeps its place.
   */
  async attempt<Value>(
    work: () => Promise<Value>,
    { endsMs, signal, judge }: AttemptOptions<Value> = none,
  ): Promise<Answered<Value> | Refusal> {
    const over = this.#over(endsMs, signal)
    if (over !== undefined) return over
    if (!this.bulkhead.tryEnter()) {
      const refusal = this.breaker.refusal() ?? (await this.#place(endsMs, signal))
      if (refusal !== undefined) return refusal
    }
    const permit = this.breaker.acquire()
    if (permit.refused) {
      this.bulkhead.leave()
      return permit
    }
    let value: Value
    let ending: Ending | undefined
    // Without `finally`, which costs a fifth of all of this.
    try {
      value = await work()
      ending = judge?.(value)
    } catch (thrown) {
      this.bulkhead.leave()
      permit.failed()
      throw thrown
    }
    this.bulkhead.leave()
    if (ending === undefined) permit.succeeded()
    else permit[ending]()
    return { refused: false, value }
  }

  /** A place in the bulkhead, after waiting for it, that is still of use. */
  async #place(endsMs: number | undefined, signal: AbortSignal | undefined): Promise<Refusal | undefined> {
    const withinMs = endsMs === undefined ? undefined : endsMs - this.#clock.elapsed() - smallestUsefulMs
    const refusal = await this.bulkhead.enter({ signal, withinMs })
    if (refusal !== undefined) return refusal
    const over = this.#over(endsMs, signal)
    if (over !== undefined) this.bulkhead.leave()
    return over
  }

  #over(endsMs: number | undefined, signal: AbortSignal | undefined): Refusal | undefined {
    if (signal?.aborted) return cancelled
    return endsMs !== undefined && endsMs - this.#clock.elapsed() < smallestUsefulMs ? tooLate : undefined
  }
}
