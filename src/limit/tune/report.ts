// What `spillway limits tune` finds out; with --json it prints exactly this. Costs and capacities are in the log's units of cost.
import type { Candidate } from './advice/choose.ts'
import type { Doubt } from './advice/doubts.ts'
import type { ProposedRule } from './advice/rules.ts'
import type { CurvePoint } from './envelope/envelope.ts'
import type { LogFacts } from './log-facts.ts'
import type { Refill } from './population/refill.ts'
import type { KeyTotals } from './survey.ts'

export interface Report extends LogFacts {
  readonly busiest: KeyTotals
  /** The vertices of the exact envelope of the busiest key, refill rising from 0; straight in between, level after the last. */
  readonly curve: readonly CurvePoint[]
  /** The same at the rates that were asked for. */
  readonly at: readonly CurvePoint[]
  /** Where time stamps are coarse: between which figures those of `at` lie. */
  readonly coarse: readonly CoarsePoint[] | null
  readonly population: Population
  readonly recommendation: Recommendation
  /** By simulation, for rates and capacities around the recommendation. */
  readonly refused: readonly RefusedPoint[]
  /** What all keys together ask of the service in the worst second and minute of the clock, and could at the recommended rule. */
  readonly service: ServiceLoad
  /** How buckets around the recommendation tell the abusive from the honest; null without labels where keys are few. */
  readonly separation: SeparationTable | null
  /** The keys with the largest needs at the recommended rate. */
  readonly forcedBy: readonly ForcedBy[]
  /** If what does not fit waits instead of being refused, at the recommended rate. */
  readonly deferral: readonly DeferralPoint[]
  /** Null where one of the two parts has no requests. */
  readonly holdOut: HoldOut | null
  readonly doubts: readonly Doubt[]
  readonly rule: ProposedRule
}

export interface ServiceLoad {
  /** Null for a log that is longer than 46 days; of minutes, than seven years. */
  readonly second: ServicePeak | null
  readonly minute: ServicePeak | null
}

export interface ServicePeak {
  /** The most keys that were active in one turn. */
  readonly keys: number
  /** The most cost in one turn, as it was asked for, and as the recommended rule lets it through. */
  readonly asked: number
  readonly admitted: number
  /** If so many keys take all that the rule allows them. */
  readonly atMost: number
}

export interface SeparationTable {
  /** Who is abusive: by --label, or one of a thousand keys, those with the most cost. */
  readonly by: 'label' | 'volume'
  readonly abusiveKeys: number
  readonly honestKeys: number
  /** The recommendation, then buckets that no other beats in both, the kindest first. */
  readonly points: readonly SeparationPoint[]
}

export interface SeparationPoint {
  readonly ratePerSecond: number
  readonly capacity: number
  /** Shares of the requests. */
  readonly honestRefused: number
  readonly abusiveAdmitted: number
  /** Of the honest keys. */
  readonly honestKeysRefused: number
}

export interface CoarsePoint {
  readonly ratePerSecond: number
  /** Whatever the times were within their stamps, the capacity is not below this one. */
  readonly atLeast: number
  /** The requests of a stamp spread over it. */
  readonly evenlySpread: number
  /** The requests of a stamp all at its beginning: the figure of `at`. */
  readonly atOnce: number
  readonly atMost: number
}

export interface Population {
  /** Of the keys, rising. */
  readonly shares: readonly number[]
  readonly rates: readonly PopulationPoint[]
}

export interface PopulationPoint {
  readonly ratePerSecond: number
  /** Where the rate is a whole number per unit. */
  readonly refill?: number
  readonly per?: Refill['per']
  /** For each share the capacity with which so many keys are never refused. */
  readonly capacities: readonly number[]
}

export interface Recommendation extends Candidate {
  /** The share of keys that is never refused: as it was asked for, and as it is. */
  readonly honest: number
  readonly servedKeys: number
  /** capacity + refill · time: the most cost of one key in any second, minute, hour, and in the time that was asked for. */
  readonly worst: {
    readonly second: number
    readonly minute: number
    readonly hour: number
    readonly seconds: number
    readonly asked: number
  }
  /** capacity / refill: for how long a full bucket gives twice its refill, and how long an empty one takes to fill. */
  readonly burstSeconds: number
  /** Of the capacity, 95 of 100, from the order of the keys' needs; null above where too few keys are beyond. */
  readonly interval: readonly [number, number | null]
  /** If the requests of coarse stamps are spread evenly. */
  readonly evenlySpread: number | null
  /** Where more refill begins to save little capacity. */
  readonly knee: Candidate | null
  readonly reasons: readonly string[]
}

export interface RefusedPoint {
  readonly ratePerSecond: number
  readonly capacity: number
  /** Shares. */
  readonly requests: number
  readonly keys: number
}

export interface ForcedBy {
  readonly key: string
  readonly requests: number
  /** What it needs at the recommended rate. */
  readonly capacity: number
  readonly served: boolean
  /** The interval that makes it so. */
  readonly from: string
  readonly to: string
  readonly requestsWithin: number
  readonly costWithin: number
}

export interface DeferralPoint {
  readonly capacity: number
  /** Shares of the requests. */
  readonly waiting: number
  /** Of those that wait. */
  readonly delaySeconds: { readonly p50: number; readonly p99: number; readonly longest: number }
  /** The most cost in line of one key. */
  readonly depth: number
}

export interface HoldOut {
  /** What comes before was learnt from, the rest was tried. */
  readonly splitAt: string
  readonly rule: Candidate
  readonly predicted: Shares & {
    /** 95 of 100, over other keys of the same kind. */
    readonly interval: readonly [number, number]
  }
  readonly found: Shares
  /** Whether no more was refused than predicted. */
  readonly held: boolean
}

/** Of the requests and the keys, those that are refused. */
export interface Shares {
  readonly requests: number
  readonly keys: number
}
