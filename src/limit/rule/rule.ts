// A rule as it is written, in code and in a file.
import type { Duration } from '../../core/duration.ts'
import type { AddressOptions } from '../address/canonical.ts'
import type { Subject } from '../subject.ts'

/** One number, or one for each plan. */
export type PerPlan = number | Readonly<Record<string, number>>

export type Period = 'second' | 'minute' | 'hour' | 'day' | 'week' | Duration

/** A value of the subject by its name; the client's address by these bits; a header; or any function (in code). */
export type Key =
  | string
  | { readonly address: AddressOptions }
  | { readonly header: string }
  | ((subject: Subject) => string | undefined)

/** What every rule may say beside its bound. */
export interface RuleOptions {
  /** One bucket for each value; of several keys, for each combination. Without it one bucket for all. */
  readonly by?: Key | readonly Key[]
  /** Only what is asked of these endpoints or calls; `*` stands for any characters. */
  readonly on?: string | readonly string[]
  /**
   * What a subject takes: a number, the name of a number of the subject, or any function (in code), which says the same of a subject whenever it is asked:
   * also when something is given back. Default: the subject's `cost`, or 1.
   */
  readonly cost?: number | string | ((subject: Subject) => number)
  /** What happens to what is too much. Default 'reject'. */
  readonly over?: 'reject' | 'wait' | 'defer'
  /** How many may wait for each bucket in each process, with `over: wait` or `pace`. Default 100. */
  readonly line?: number
  /** Who would wait longer is refused. Default 30 s. */
  readonly longestWait?: Duration
  /** Who is refused again and again is shut out, for longer each time. With `by`, and `over: reject`; not of `atOnce`. */
  readonly ban?: BanOptions
  /** Decides and counts, but refuses nothing. */
  readonly shadow?: boolean
  /** Values of the key, or ranges of addresses, that are not bounded. */
  readonly except?: readonly string[]
  /** A subject without a value for the key shares a bucket with all such (default), passes, or is refused. */
  readonly missing?: 'share' | 'skip' | 'reject'
  /** What happens while a shared store cannot be asked: default 'open'. `share` decides by a part of the bound in this process. */
  readonly away?: 'open' | 'closed' | { readonly share: number }
}

/** After so many refusals or penalties, banned for a time that doubles with each repetition, and is halved for each of its own length without one. */
export interface BanOptions {
  readonly after: number
  /** Offences count together that come within this time of the first of them. Default: the rule's period. */
  readonly within?: Period
  /** How long the first ban lasts. */
  readonly for: Period
  /** How long the longest ban lasts. Default: a day, or `for` where that is longer. */
  readonly upTo?: Period
}

/** Holds `capacity`, refilled by `refill` in each period, continuously. */
export interface BucketRule extends RuleOptions {
  readonly capacity: PerPlan
  readonly refill: PerPlan
  readonly per: Period
}

/** At most so many in any window of a period; or in the windows of a calendar, or in those that begin with a key's first request. */
export interface AtMostRule extends RuleOptions {
  readonly atMost: PerPlan
  readonly per: Period | 'month'
  /** Default 'sliding': any window. */
  readonly window?: 'sliding' | 'calendar' | 'key'
  /** Of the calendar: 'Europe/Berlin'. Default UTC. */
  readonly timeZone?: string
}

/** So many in a period, one after the other: each waits for its turn. */
export interface PaceRule extends RuleOptions {
  readonly pace: PerPlan
  readonly per: Period
}

/** So many at the same time: who was allowed says when it is over (`release`). */
export interface AtOnceRule extends RuleOptions {
  readonly atOnce: PerPlan
}

/** As many at the same time as work takes no longer for, by what is measured in this process: never fewer than `from`, never more than `upTo`. */
export interface AdaptiveRule extends RuleOptions {
  readonly atOnce: 'adaptive'
  /** With so many it begins. */
  readonly from: number
  readonly upTo: number
}

export type Rule = BucketRule | AtMostRule | PaceRule | AtOnceRule | AdaptiveRule

/** The rules by their names. */
export type Rules = Readonly<Record<string, Rule>>
