// What `spillway limits tune` finds out; with --json it prints exactly this. Costs and capacities are in the log's units of cost.
import type { CurvePoint } from './envelope/envelope.ts'
import type { BrokenLine } from './reading/intake.ts'
import type { KeyTotals } from './survey.ts'

export interface Report extends LogFacts {
  readonly busiest: KeyTotals
  /** The vertices of the exact envelope of the busiest key, refill rising from 0; straight in between, level after the last. */
  readonly curve: readonly CurvePoint[]
  /** The same at the rates that were asked for. */
  readonly at: readonly CurvePoint[]
}

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
