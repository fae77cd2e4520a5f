// A decision about shared buckets: what was answered, and what can be done to it afterwards.
import type { Decision, Outcome, Reason, RuleState } from '../decision.ts'
import type { Asked } from './asked-rule.ts'
import type { Lease } from './lease-book.ts'

/** What one bucket gave: from a lease, or by the store at its time. Neither of what was decided without either. */
export interface Taken {
  readonly asked: Asked
  readonly lease?: Lease
  readonly takenUs?: number
}

export interface SharedAfterwards {
  giveBack(taken: readonly Taken[], held: boolean): void
  penalizeAsked(asked: readonly Asked[], cost: number): void
}

export interface SharedAnswer {
  readonly outcome: Outcome
  readonly rule?: string | undefined
  readonly reason?: Reason | undefined
  readonly retryAfterMs?: number
  readonly shadowed: readonly string[]
  readonly asked: readonly Asked[]
  /** Empty for what was not allowed. */
  readonly taken: readonly Taken[]
  readonly states: () => readonly RuleState[]
}

export class SharedDecision implements Decision {
  readonly outcome: Outcome
  readonly rule: string | undefined
  readonly reason: Reason | undefined
  readonly retryAfterMs: number
  readonly shadowed: readonly string[]
  readonly #afterwards: SharedAfterwards
  readonly #answer: SharedAnswer
  #refunded = false
  #released = false

  constructor(afterwards: SharedAfterwards, answer: SharedAnswer) {
    this.outcome = answer.outcome
    this.rule = answer.rule
    this.reason = answer.reason
    this.retryAfterMs = answer.retryAfterMs ?? 0
    this.shadowed = answer.shadowed
    this.#afterwards = afterwards
    this.#answer = answer
  }

  get allowed(): boolean {
    return this.outcome === 'allow'
  }

  get states(): readonly RuleState[] {
    return this.#answer.states()
  }

  /** The same, refused for another reason: it would have waited. */
  refusedFor(reason: Reason): SharedDecision {
    return new SharedDecision(this.#afterwards, { ...this.#answer, outcome: 'reject', reason })
  }

  refund(): void {
    if (this.#refunded) return
    this.#refunded = true
    this.#afterwards.giveBack(this.#answer.taken, false)
    this.release()
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#afterwards.giveBack(this.#answer.taken, true)
  }

  penalize(cost: number): void {
    this.#afterwards.penalizeAsked(this.#answer.asked, cost)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
