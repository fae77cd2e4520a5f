// What sharedLimits() takes and gives.
import type { Clock } from '../../core/clock.ts'
import type { LimitPort } from '../../ports/limit.ts'
import type { Decision } from '../decision.ts'
import type { Guarantee } from '../guarantee.ts'
import type { Rules } from '../rule/rule.ts'
import type { Subject } from '../subject.ts'

export interface SharedLimitsOptions {
  readonly rules: Rules
  /** Where the buckets are: `limit` of an engine that keeps them. It is not closed with the limits. */
  readonly store: LimitPort
  /** Keys beside `user`, `address`, `device`, `apiKey` and `session`, by which rules may bound: values of the subject (true), or functions of it. */
  readonly keys?: Readonly<Record<string, true | ((subject: Subject) => string | undefined)>>
  /** How long a lease lasts; so long a process that dies keeps what it held. Default 1,000 ms. */
  readonly leaseMs?: number
  /** How long a decision waits for the store before it is made as the rules say for a store that is away. Default 100 ms. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

export interface SharedRuleCounts {
  readonly rule: string
  readonly allowed: number
  /** Of a rule in shadow: what it would have refused. */
  readonly refused: number
  readonly waiting: number
  /** Of a rule with a ban: how many this process saw begin. */
  readonly bans?: number
}

export interface SharedLimits {
  /**
   * Decides by all rules at once: counted in each of them, or in none. Where a rule says to wait the outcome is 'wait', and nothing was counted:
   * `admit` waits. Never rejects because the store is away: each rule says what holds then (`away`). Rejects with INVALID_OPTION for a cost that is
   * no number, with CLOSED when the store or the limits are closed.
   */
  decide(subject: Subject): Promise<Decision>
  /**
   * As `decide`, but waits where a rule says so: resolves to any outcome but 'wait'. Each bucket has a line of its own in each process, at most `line` long,
   * in which first come is first served, and nobody passes it. Processes are not in order among each other: whichever asks when there is
   * something gets it.
   */
  admit(subject: Subject, options?: { readonly signal?: AbortSignal | undefined }): Promise<Decision>
  /**
   * Takes so much in every rule that bounds the subject, soon, whether it is there or not, down to as much below zero as the limit is. What cannot be
   * told, since the store is away, is not told later.
   */
  penalize(subject: Subject, cost: number): void
  /**
   * Puts other rules in force, all of them or, with INVALID_RULE, none. Buckets go on with what was taken of them; penalties and refunds that the store does
   * not know yet are told; what was leased by the old rules is not used any more. Those who wait keep their places and wait as long as they would have.
   */
  reload(rules: Rules): void
  counts(): readonly SharedRuleCounts[]
  /** The true worst case of each rule, for each of its plans. It holds for all processes together while the store answers, by its clock. */
  guarantees(): ReadonlyMap<string, readonly Guarantee[]>
  /** The headers by which rules in force bound, in small letters: without them nothing is decided later as it would be now. */
  headers(): readonly string[]
  /** Gives back what is leased and not used; resolves when the store knows, or is away. Later decisions reject with CLOSED. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
