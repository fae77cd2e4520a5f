// What a handler can say besides "done": values that it returns, no exceptions.
import { type Duration, milliseconds } from './duration.ts'

/** Try again; counts as an attempt. Without a delay the retry policy chooses one. */
export interface Retry {
  readonly outcome: 'retry'
  readonly delayMs: number | undefined
  readonly reason: string | undefined
}

/** Give up now: to the dead letters, with the reason. */
export interface DeadLetter {
  readonly outcome: 'dead-letter'
  readonly reason: string
}

export type Outcome = Retry | DeadLetter

export function retry(options: { readonly after?: Duration; readonly reason?: string } = {}): Retry {
  return {
    outcome: 'retry',
    delayMs: options.after === undefined ? undefined : milliseconds(options.after, 'after'),
    reason: options.reason,
  }
}

export function deadLetter(reason: string): DeadLetter {
  return { outcome: 'dead-letter', reason }
}

/** True for what `retry()` and `deadLetter()` return; anything else that a handler returns means done. */
export function isOutcome(value: unknown): value is Outcome {
  if (typeof value !== 'object' || value === null) return false
  const { outcome } = value as Partial<Outcome>
  return outcome === 'retry' || outcome === 'dead-letter'
}
