// The retry budget of one destination: retries are a share of the calls, so that they never multiply a failure.
import { type Clock, systemClock } from './clock.ts'
import { SpillwayError } from './errors.ts'
import { checkOptions, type OptionNames } from './known-options.ts'
import { wholeOption } from './whole-option.ts'

export interface RetryBudgetOptions {
  /** So many retries for each call, from 0 to 1, in thousandths. Default 0.2. */
  readonly share?: number
  /** And so many a second, so that who calls rarely may retry at all. A whole number. Default 1. */
  readonly perSecond?: number
  /** So many may be saved up, and are there at the beginning. Default 50. */
  readonly burst?: number
}

const names: OptionNames<RetryBudgetOptions> = { share: true, perSecond: true, burst: true }

export interface RetryBudgetSnapshot {
  /** Retries that could be made now. */
  readonly left: number
  /** Since it was made. */
  readonly granted: number
  readonly refused: number
}

/**
 * A token bucket that is filled by calls and by time (as Finagle's RetryBudget, Twitter 2016). In any span of time
 * `retries <= burst + share * calls + perSecond * seconds`. Counted in thousandths of a retry and in whole milliseconds, with integers only: nothing drifts.
 */
export class RetryBudget {
  /** Thousandths of a retry for each call. */
  readonly #perCall: number
  /** One a second is one thousandth a millisecond. */
  readonly #perMs: number
  readonly #most: number
  readonly #clock: Clock
  #thousandths: number
  #filledMs: number
  #granted = 0
  #refused = 0

  constructor(options: RetryBudgetOptions = {}, clock: Clock = systemClock) {
    checkOptions('retryBudget', options, names)
    const { share = 0.2, perSecond = 1, burst = 50 } = options
    this.#perCall = Math.round(share * 1_000)
    if (!(share >= 0 && share <= 1) || this.#perCall / 1_000 !== share)
      throw new SpillwayError(
        'INVALID_OPTION',
        `retryBudget.share is ${share}; it takes a number from 0 to 1 with three decimal places at most.`,
      )
    this.#perMs = wholeOption(perSecond, 'retryBudget.perSecond', 0, 1_000_000)
    this.#most = wholeOption(burst, 'retryBudget.burst', 1, 1_000_000) * 1_000
    this.#clock = clock
    this.#thousandths = this.#most
    this.#filledMs = Math.floor(clock.elapsed())
  }

  /** For each call, before its first attempt. */
  called(): void {
    this.#thousandths = Math.min(this.#most, this.#thousandths + this.#perCall)
  }

  /** Whether a retry may be made now; takes it from the budget if so. */
  tryRetry(): boolean {
    this.#fill()
    if (this.#thousandths < 1_000) {
      this.#refused += 1
      return false
    }
    this.#thousandths -= 1_000
    this.#granted += 1
    return true
  }

  snapshot(): RetryBudgetSnapshot {
    this.#fill()
    return { left: Math.floor(this.#thousandths / 1_000), granted: this.#granted, refused: this.#refused }
  }

  #fill(): void {
    const nowMs = Math.floor(this.#clock.elapsed())
    this.#thousandths = Math.min(this.#most, this.#thousandths + (nowMs - this.#filledMs) * this.#perMs)
    this.#filledMs = nowMs
  }
}
