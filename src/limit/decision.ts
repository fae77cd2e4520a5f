// What a decision says.

/** What became of a request: it is allowed; refused; to wait in the line (`admit`); or to be put on a queue. */
export type Outcome = 'allow' | 'reject' | 'wait' | 'defer'

/** What becomes of a request that a rule refuses for being over its bound, after what others said: any that rejects it rejects it. */
export function outcomeAfter(said: Outcome, over: 'reject' | 'wait' | 'defer'): Outcome {
  return over === 'reject' || (over === 'defer' && said === 'wait') ? over : said
}

/**
 * Why it is not allowed. `over`: the bound is reached. `cost`: it costs more than the rule ever allows. `missing`: it has no value for a key that
 * has to be there. `line`: too many are waiting. `wait`: its turn would come, or did not come, within the longest wait. `cancelled`: its signal fired
 * while it waited. `away`: the store of the buckets cannot be asked, and the rule is then closed. `banned`: it was refused too often before.
 */
export type Reason = 'over' | 'cost' | 'missing' | 'line' | 'wait' | 'cancelled' | 'away' | 'banned'

/**
 * How work ended that an `atOnce` rule had allowed. `done`: it took as long as it took. `dropped`: it timed out, or was turned away further on.
 * `unmeasured`: its time means nothing. Where the rule is adaptive its number follows.
 */
export type WorkEnd = 'done' | 'dropped' | 'unmeasured'

/** One rule's bucket after a decision, as headers tell it. */
export interface RuleState {
  readonly rule: string
  readonly shadow: boolean
  /** Whether this rule refuses what was asked. */
  readonly refuses: boolean
  /** The bound that holds for this subject: what a bucket holds that nobody has used. */
  readonly limit: number
  /** What could be taken now; never below 0. */
  readonly remaining: number
  /** The rule's period; undefined for how many at the same time. */
  readonly windowMs: number | undefined
  /** What a request costs, where the rule has a name for it. */
  readonly unit: string | undefined
  /** How long a bucket that is used up takes until all of the limit is back; undefined for how many at the same time. */
  readonly fillMs: number | undefined
  /** Nobody else's requests count in this bucket: the rule has a key that is no mere header, and the subject a value for it. */
  readonly own: boolean
  /** When one more can be taken if nobody asks meanwhile: 0 for now, Infinity where no time brings it. */
  readonly nextMs: number
  /** When all of the limit can be taken if nobody asks meanwhile. */
  readonly resetMs: number
}

/** A request that all rules allowed has been counted in each of them; one that any refused, in none. */
export interface Decision {
  readonly outcome: Outcome
  readonly allowed: boolean
  /** The rule that refuses; of several the one that does so for longest. Undefined when it is allowed. */
  readonly rule: string | undefined
  readonly reason: Reason | undefined
  /**
   * The earliest time at which the same request is allowed if nobody else asks meanwhile, as milliseconds from the decision: not earlier, not later.
   * 0 when it is allowed; Infinity where no time brings it.
   */
  readonly retryAfterMs: number
  /** Rules in shadow that would have refused it. */
  readonly shadowed: readonly string[]
  /** Every rule that bounds the subject, as it stands when this is read. */
  readonly states: readonly RuleState[]
  /** Gives back what was counted, as if it had not been asked. Only once; does nothing where nothing was counted. */
  refund(): void
  /** The work is over: gives back its places of `atOnce` rules, and tells adaptive ones how it ended. Only once. Default 'done'. */
  release(how?: WorkEnd): void
  /** Takes so much more, whether it is there or not, down to as much below zero as the limit is: for work that turned out to be unwelcome or dear. */
  penalize(cost: number): void
  [Symbol.dispose](): void
}
