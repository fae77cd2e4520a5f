// A rule that can hold: read, with its defaults, as plain numbers.
import type { Algorithm } from '../../core/bucket/algorithm.ts'
import type { Ban } from '../../core/bucket/ban.ts'
import type { AdaptiveBounds } from '../adaptive/adaptive-limit.ts'
import type { AddressOptions } from '../address/canonical.ts'
import type { Subject } from '../subject.ts'

export type KeyPart =
  | { readonly kind: 'value'; readonly name: string }
  | { readonly kind: 'address'; readonly options: AddressOptions }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'function'; readonly of: (subject: Subject) => string | undefined }

export type CalendarUnit = 'hour' | 'day' | 'week' | 'month'

/** The bound of one plan; of a rule without plans the only one, and its name is undefined. */
export interface Bound {
  readonly plan: string | undefined
  /** The largest cost that it can ever allow. */
  readonly limit: number
  /** Buckets of all plans of a rule have the same size and count in the same units. */
  readonly algorithm: Algorithm
}

export interface CheckedRule {
  readonly name: string
  /** The smallest first: for a plan that is not named. */
  readonly bounds: readonly [Bound, ...Bound[]]
  /** The window that the rule speaks of; undefined for `atOnce`. Of a calendar's windows the usual length. */
  readonly perUs: number | undefined
  readonly calendar: { readonly unit: CalendarUnit; readonly timeZone: string } | undefined
  /** Of a rule that finds its own number, between which. */
  readonly adaptive: AdaptiveBounds | undefined
  /** Empty: one bucket for all. */
  readonly by: readonly KeyPart[]
  readonly on: readonly string[] | undefined
  readonly cost: number | string | ((subject: Subject) => number) | undefined
  readonly over: 'reject' | 'wait' | 'defer'
  readonly line: number
  readonly longestWaitMs: number
  readonly shadow: boolean
  readonly ban: Ban | undefined
  readonly except: readonly string[]
  readonly missing: 'share' | 'skip' | 'reject'
  readonly away: 'open' | 'closed' | { readonly share: number }
}
