// A decision as it is made: what costs is worked out when it is read.
import type { ActiveRule } from './active-rule.ts'
import type { Decision, Outcome, Reason, RuleState } from './decision.ts'
import type { Subject } from './subject.ts'

/** What can be done to a decision afterwards. `taken` has for each rule what it said when it took; undefined where it did not. */
export interface Afterwards {
  states(subject: Subject): readonly RuleState[]
  giveBack(
    subject: Subject,
    rules: readonly ActiveRule[],
    taken: readonly (number | undefined)[],
    held: boolean,
  ): void
  penalize(subject: Subject, cost: number): void
}

const none: readonly string[] = Object.freeze([])

export class MadeDecision implements Decision {
  readonly outcome: Outcome
  readonly rule: string | undefined
  readonly reason: Reason | undefined
  readonly retryAfterMs: number
  readonly shadowed: readonly string[]
  readonly #afterwards: Afterwards
  readonly #subject: Subject
  readonly #rules: readonly ActiveRule[]
  readonly #taken: readonly (number | undefined)[] | undefined
  #refunded = false
  #released = false

  constructor(
    afterwards: Afterwards,
    subject: Subject,
    rules: readonly ActiveRule[],
    taken: readonly (number | undefined)[] | undefined,
    shadowed: readonly string[] | undefined,
    outcome: Outcome = 'allow',
    rule?: string,
    reason?: Reason,
    retryAfterMs = 0,
  ) {
    this.outcome = outcome
    this.rule = rule
    this.reason = reason
    this.retryAfterMs = retryAfterMs
    this.shadowed = shadowed ?? none
    this.#afterwards = afterwards
    this.#subject = subject
    this.#rules = rules
    this.#taken = taken
  }

  get allowed(): boolean {
    return this.outcome === 'allow'
  }

  get states(): readonly RuleState[] {
    return this.#afterwards.states(this.#subject)
  }

  refund(): void {
    if (this.#refunded || this.#taken === undefined) return
    this.#refunded = true
    this.#afterwards.giveBack(this.#subject, this.#rules, this.#taken, false)
    this.release()
  }

  release(): void {
    if (this.#released || this.#taken === undefined) return
    this.#released = true
    this.#afterwards.giveBack(this.#subject, this.#rules, this.#taken, true)
  }

  penalize(cost: number): void {
    this.#afterwards.penalize(this.#subject, cost)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** The same, refused for another reason: it would have waited. */
  insteadOfWaiting(reason: Reason): MadeDecision {
    return new MadeDecision(
      this.#afterwards,
      this.#subject,
      this.#rules,
      undefined,
      this.shadowed,
      'reject',
      this.rule,
      reason,
      this.retryAfterMs,
    )
  }
}
