// What a handler can say besides "done": values that it returns, no exceptions.
import { type Duration, longestMs, milliseconds } from './duration.ts'
import { describe } from './errors.ts'

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

/** What is kept of a reason. */
const maxReasonLength = 2_000

/**
 * What a handler's result says, made fit to be stored: a handler may be untyped, and one settlement that an engine refuses
 * would take those of its neighbours with it. Undefined for anything that is no outcome, which means done.
 */
export function outcomeOf(value: unknown): Outcome | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    const { outcome, reason, delayMs } = value as Readonly<Record<string, unknown>>
    if (outcome === 'dead-letter')
      return { outcome, reason: reason === undefined ? 'the handler gave no reason' : reasonText(reason) }
    if (outcome !== 'retry') return undefined
    return {
      outcome,
      delayMs: typeof delayMs === 'number' && delayMs >= 0 ? Math.min(delayMs, longestMs) : undefined,
      reason: reason === undefined ? undefined : reasonText(reason),
    }
  } catch {
    return undefined
  }
}

/** A reason that every engine can store: well-formed, without NUL, and short. */
export function reasonText(reason: unknown): string {
  const text = typeof reason === 'string' ? reason : describe(reason)
  return text.slice(0, maxReasonLength).replaceAll('\0', '\u{fffd}').toWellFormed()
}
