// What stands between a caller and one destination, put together around one attempt: cancellation, deadline, bulkhead, breaker.
import { type Clock, systemClock } from '../core/clock.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { Breaker, type BreakerRefusal, type Ending, type Permit } from './breaker.ts'
import type { BreakerOptions } from './breaker-rules.ts'
import {
  Bulkhead,
  type BulkheadOptions,
  type BulkheadRefusal,
  type Cancelled,
  cancelled,
} from './bulkhead.ts'
import { type Deadline, smallestUsefulMs } from './deadline.ts'
import { RetryBudget, type RetryBudgetOptions } from './retry-budget.ts'

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

/** The work was begun and given up before it ended: what it did is not known here. */
export interface GivenUp {
  readonly refused: false
  readonly answered: false
  readonly because: 'deadline' | 'cancelled'
}

export interface Answered<Value> {
  readonly refused: false
  readonly answered: true
  readonly value: Value
}

export type Attempt<Value> = Answered<Value> | GivenUp | Refusal

export interface AttemptOptions<Value> {
  readonly deadline?: Deadline | undefined
  readonly signal?: AbortSignal | undefined
  /** What a value says of the destination. By default every value is a success. */
  readonly judge?: ((value: Value) => Ending) | undefined
}

/** Undefined where there is neither a deadline nor a signal of the caller. */
type Work<Value> = (signal: AbortSignal | undefined) => Promise<Value>

const tooLate: DeadlineRefusal = Object.freeze({ refused: true, reason: 'deadline' })
const none: AttemptOptions<unknown> = {}

/** Breaker, bulkhead and retry budget of one destination: kept as long as it is called. */
export class Destination {
  readonly breaker: Breaker
  readonly bulkhead: Bulkhead
  /** For whoever repeats attempts: `called` for each call, `tryRetry` before each attempt after the first. */
  readonly retryBudget: RetryBudget

  constructor(
    options: DestinationOptions = {},
    clock: Clock = systemClock,
    random: () => number = Math.random,
  ) {
    checkOptions('destination', options, names)
    this.breaker = new Breaker(options.breaker, { clock, random })
    this.bulkhead = new Bulkhead(options.bulkhead, clock)
    this.retryBudget = new RetryBudget(options.retryBudget, clock)
  }

  /**
   * Runs the work once, unless it is refused: by the signal, by the deadline, by the breaker, by the bulkhead. An open breaker is told before the line of
   * the bulkhead and again after it. What the work throws is a failure of the destination and is thrown on.
   *
   * When the deadline passes or the caller gives up, this resolves at once, and the signal of the work fires: a deadline counts as a failure, a caller
   * that gave up counts neither way. The place in the bulkhead is given back when the work has really ended, so it must heed its signal.
   */
  async attempt<Value>(work: Work<Value>, options: AttemptOptions<Value> = none): Promise<Attempt<Value>> {
    const { deadline, signal, judge } = options
    const bounded = deadline !== undefined || signal !== undefined
    if (bounded) {
      const refusal = overBefore(deadline, signal)
      if (refusal !== undefined) return refusal
    }
    if (!this.bulkhead.tryEnter()) {
      const refusal = this.breaker.refusal() ?? (await this.#place(deadline, signal))
      if (refusal !== undefined) return refusal
    }
    const permit = this.breaker.acquire()
    if (permit.refused) {
      this.bulkhead.leave()
      return permit
    }
    if (bounded) return this.#bounded(work, permit, deadline, signal, judge)
    let value: Value
    let ending: Ending | undefined
    // Without `finally`, which costs a fifth of all of this.
    try {
      value = await work(undefined)
      ending = judge?.(value)
    } catch (thrown) {
      this.bulkhead.leave()
      permit.failed()
      throw thrown
    }
    this.bulkhead.leave()
    if (ending === undefined) permit.succeeded()
    else permit[ending]()
    return { refused: false, answered: true, value }
  }

  /** A place in the bulkhead, after waiting for it, that is still of use. */
  async #place(
    deadline: Deadline | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Refusal | undefined> {
    const withinMs = deadline && deadline.remainingMs - smallestUsefulMs
    const refusal = await this.bulkhead.enter({ signal, withinMs })
    if (refusal !== undefined) return refusal
    const over = overBefore(deadline, signal)
    if (over !== undefined) this.bulkhead.leave()
    return over
  }

  #bounded<Value>(
    work: Work<Value>,
    permit: Permit,
    deadline: Deadline | undefined,
    caller: AbortSignal | undefined,
    judge: ((value: Value) => Ending) | undefined,
  ): Promise<Attempt<Value>> {
    return new Promise((resolve, reject) => {
      // Before the work hears of it: what it throws then is of no interest.
      const giveUp = (because: 'deadline' | 'cancelled') => {
        permit[because === 'deadline' ? 'failed' : 'cancelled']()
        resolve({ refused: false, answered: false, because })
      }
      const onAbort = () => giveUp('cancelled')
      const limit = deadline?.signal(caller, giveUp)
      if (limit === undefined) caller!.addEventListener('abort', onAbort, { once: true })
      const end = () => {
        if (limit === undefined) caller!.removeEventListener('abort', onAbort)
        else limit.release()
        this.bulkhead.leave()
      }
      started(work, limit?.signal ?? caller!).then(
        (value) => {
          end()
          try {
            permit[judge === undefined ? 'succeeded' : judge(value)]()
            resolve({ refused: false, answered: true, value })
          } catch (thrown) {
            permit.failed()
            reject(thrown)
          }
        },
        (thrown) => {
          end()
          permit.failed()
          reject(thrown)
        },
      )
    })
  }
}

async function started<Value>(work: Work<Value>, signal: AbortSignal): Promise<Value> {
  return work(signal)
}

function overBefore(deadline: Deadline | undefined, signal: AbortSignal | undefined): Refusal | undefined {
  if (signal?.aborted) return cancelled
  return deadline?.over ? tooLate : undefined
}
