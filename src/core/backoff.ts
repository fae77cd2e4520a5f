// When to try again: exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS, 2015).
import { type Duration, milliseconds } from './duration.ts'
import { SpillwayError } from './errors.ts'
import { checkOptions, type OptionNames } from './known-options.ts'

export interface RetryOptions {
  /** How often a message is started before it goes to the dead letters, the first time included. Default 10. */
  readonly attempts?: number
  /** The bound of the first delay. Default 1 s. */
  readonly initial?: Duration
  /** The bound of every delay. Default 5 min. */
  readonly max?: Duration
}

const retryNames: OptionNames<RetryOptions> = { attempts: true, initial: true, max: true }

export interface RetryPolicy {
  readonly attempts: number
  readonly initialMs: number
  readonly maxMs: number
}

export function retryPolicy(options: RetryOptions = {}): RetryPolicy {
  checkOptions('retry', options, retryNames)
  const attempts = options.attempts ?? 10
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > 1_000_000)
    throw new SpillwayError(
      'INVALID_OPTION',
      `retry.attempts is ${attempts}; it takes a whole number from 1 to 1,000,000.`,
    )
  return {
    attempts,
    initialMs: milliseconds(options.initial ?? '1s', 'retry.initial'),
    maxMs: milliseconds(options.max ?? '5m', 'retry.max'),
  }
}

/** The delay in milliseconds before the attempt after `attempt` (the first is 1): uniform up to the growing bound. */
export function backoff(policy: RetryPolicy, attempt: number, random: () => number = Math.random): number {
  const bound = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(attempt - 1, 52))
  return Math.round(bound * random())
}

const engineAway: RetryPolicy = { attempts: Number.POSITIVE_INFINITY, initialMs: 100, maxMs: 5_000 }

/** The pause in milliseconds of a loop whose engine failed so many times in a row: never none, so that it cannot spin. */
export function pauseAfter(failures: number): number {
  return 50 + backoff(engineAway, failures)
}
