// A decision as it is made: small, for one is made for every request. What costs is worked out when it is read.
import type { Decision, Outcome, Reason, RuleState, WorkEnd } from './decision.ts'
import type { Subject } from './subject.ts'

/** What each rule said when it took, or the only one; not a number where it took nothing. */
export type Taken = number | readonly number[]

/** The rules in force when a decision was made, and what can be done afterwards. */
export interface Afterwards {
  /** `atOnce`: nothing has happened since the decision but what follows it, and the clock need not be asked. */
  states(subject: Subject, atOnce: boolean): readonly RuleState[]
  /** `held`: of `atOnce` rules, else of all others. */
  giveBack(subject: Subject, taken: Taken, held: boolean, how?: WorkEnd): void
  penalize(subject: Subject, cost: number): void
}

/** What is said where it is not simply allowed. */
export interface Verdict {
  readonly outcome: Outcome
  readonly rule: string | undefined
  readonly reason: Reason | undefined
  readonly retryAfterMs: number
  readonly shadowed: readonly string[]
}

const allowed: Verdict = Object.freeze({
  outcome: 'allow',
  rule: undefined,
  reason: undefined,
  retryAfterMs: 0,
  shadowed: Object.freeze([]),
})

export class MadeDecision implements Decision {
  readonly #afterwards: Afterwards
  readonly #subject: Subject
  readonly #verdict: Verdict
  readonly #taken: Taken | undefined
  /** Of what was taken: whether it is still to be given back what counts, and what is held. */
  #counted: boolean
  #held: boolean

  constructor(
    afterwards: Afterwards,
    subject: Subject,
    taken: Taken | undefined,
    verdict: Verdict = allowed,
  ) {
    this.#afterwards = afterwards
    this.#subject = subject
    this.#verdict = verdict
    this.#taken = taken
    this.#counted = taken !== undefined
    this.#held = taken !== undefined
  }

  get outcome(): Outcome {
    return this.#verdict.outcome
  }

  get allowed(): boolean {
    return this.#verdict.outcome === 'allow'
  }

  get rule(): string | undefined {
    return this.#verdict.rule
  }

  get reason(): Reason | undefined {
    return this.#verdict.reason
  }

  get retryAfterMs(): number {
    return this.#verdict.retryAfterMs
  }

  get shadowed(): readonly string[] {
    return this.#verdict.shadowed
  }

  get states(): readonly RuleState[] {
    return this.#afterwards.states(this.#subject, false)
  }

  /** For who has just been given it: `states` as the decision found them. */
  get statesFound(): readonly RuleState[] {
    return this.#afterwards.states(this.#subject, true)
  }

  refund(): void {
    const counted = this.#counted
    this.#counted = false
    if (counted) this.#afterwards.giveBack(this.#subject, this.#taken!, false)
    this.release('unmeasured')
  }

  release(how: WorkEnd = 'done'): void {
    const held = this.#held
    this.#held = false
    if (held) this.#afterwards.giveBack(this.#subject, this.#taken!, true, how)
  }

  penalize(cost: number): void {
    this.#afterwards.penalize(this.#subject, cost)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** The same, refused for another reason: it would have waited. */
  insteadOfWaiting(reason: Reason): MadeDecision {
    const verdict: Verdict = { ...this.#verdict, outcome: 'reject', reason }
    return new MadeDecision(this.#afterwards, this.#subject, undefined, verdict)
  }

  /** As printed and as JSON: what was decided. */
  toJSON(): Verdict {
    return this.#verdict
  }
}
