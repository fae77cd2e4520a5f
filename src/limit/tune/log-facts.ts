// What was read of a log, and what was not.
import type { BrokenLine } from './reading/intake.ts'

export interface LogFacts {
  readonly logs: readonly string[]
  /** What is bounded: `address`, `user+path`, `global`. */
  readonly key: string
  /** Those that are computed with. */
  readonly requests: number
  readonly keys: number
  readonly totalCost: number
  readonly brokenLines: number
  /** The first of them. */
  readonly broken: readonly BrokenLine[]
  /** Requests that have no value for the key. */
  readonly withoutKey: number
  /** Requests of keys that were left out by --without. */
  readonly leftOut: number
  readonly without: readonly string[]
  /** Requests that had come before, which are not computed with again: with the same id, and after a 429. */
  readonly retries: { readonly sameId: number; readonly afterRefusal: number }
  /** Requests that were answered with 429. */
  readonly refusedThen: number
  readonly outOfOrder: number
  /** Of the first and the last request, ISO 8601. */
  readonly from: string
  readonly to: string
  readonly spanSeconds: number
  /** The largest unit that divides all times. */
  readonly resolutionSeconds: number
}
