// Rules that are in force together, and what they decide: all of them at once, counted in each or in none.
import type { ActiveRule, Look } from './active-rule.ts'
import { costOf } from './cost.ts'
import { type Outcome, outcomeAfter, type Reason, type RuleState, type WorkEnd } from './decision.ts'
import { type Afterwards, MadeDecision, type Taken } from './made-decision.ts'
import { askedAgain, type Subject } from './subject.ts'

/** So long after a decision what is told of its buckets is what was found then. */
const freshUs = 1_000

export class RulesInForce implements Afterwards {
  readonly rules: readonly ActiveRule[]
  readonly #nowUs: () => number
  /** Who was put in their place. */
  #successor: RulesInForce | undefined
  /** What each rule said to the subject that is being decided about. */
  readonly #looks: Look[]
  /** Whom it was decided about last, and when: what was found then need not be looked for again. */
  #last: Subject | undefined
  #lastUs = 0

  constructor(rules: readonly ActiveRule[], nowUs: () => number) {
    this.rules = rules
    this.#nowUs = nowUs
    this.#looks = rules.map(() => 'passes')
  }

  /** `sinceMs`: since when the subject, which stands first in a line, waits. */
  decide(subject: Subject, sinceMs?: number): MadeDecision {
    const { rules } = this
    const looks = this.#looks
    const nowUs = this.#nowUs()
    this.#last = subject
    this.#lastUs = nowUs
    let refused = false
    let shadowed: readonly string[] | undefined
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!
      const look = rule.look(subject, nowUs, sinceMs ?? Number.POSITIVE_INFINITY)
      looks[i] = look
      if (look === 'allows' || look === 'passes') continue
      // Whoever stands first in a line is asked for again and again.
      if (sinceMs === undefined) rule.refused += 1
      if (rule.checked.shadow) shadowed = [...(shadowed ?? []), rule.checked.name]
      else refused = true
    }
    if (refused) {
      const offends = sinceMs === undefined && subject[askedAgain] === undefined
      return this.#refusal(subject, shadowed ?? [], offends ? nowUs : undefined)
    }
    let taken: Taken
    if (rules.length === 1) taken = looks[0] === 'allows' ? rules[0]!.take() : Number.NaN
    else {
      const each = new Array<number>(rules.length)
      for (let i = 0; i < rules.length; i++) each[i] = looks[i] === 'allows' ? rules[i]!.take() : Number.NaN
      taken = each
    }
    if (shadowed === undefined) return new MadeDecision(this, subject, taken)
    const verdict = {
      outcome: 'allow',
      rule: undefined,
      reason: undefined,
      retryAfterMs: 0,
      shadowed,
    } as const
    return new MadeDecision(this, subject, taken, verdict)
  }

  states(subject: Subject, atOnce: boolean): readonly RuleState[] {
    const { rules } = this.now
    const found = this.#last === subject && rules === this.rules
    const nowUs = found && atOnce ? this.#lastUs : this.#nowUs()
    const known = found && nowUs - this.#lastUs < freshUs
    this.#last = undefined
    // One that grows has room for seventeen.
    const states = new Array<RuleState>(rules.length)
    let count = 0
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!
      const look = known ? this.#looks[i]! : rule.look(subject, nowUs, Number.NEGATIVE_INFINITY)
      if (look !== 'passes' && look !== 'missing') states[count++] = rule.state(subject, look !== 'allows')
    }
    if (count < states.length) states.length = count
    return states
  }

  penalize(subject: Subject, cost: number): void {
    const nowUs = this.#nowUs()
    this.now.#last = undefined
    for (const rule of this.now.rules) {
      const look = rule.look(subject, nowUs, Number.NEGATIVE_INFINITY)
      if (look === 'passes' || look === 'missing') continue
      if (rule.checked.perUs !== undefined) rule.takeMore(cost)
      if (cost > 0) rule.offend(nowUs)
    }
  }

  giveBack(subject: Subject, taken: Taken, held: boolean, how: WorkEnd = 'unmeasured'): void {
    const nowUs = this.#nowUs()
    this.now.#last = undefined
    for (const [i, { checked, lineage }] of this.rules.entries()) {
      const took = typeof taken === 'number' ? taken : taken[i]!
      if ((checked.perUs === undefined) !== held || Number.isNaN(took)) continue
      const rule = this.now.rules.find((each) => each.lineage === lineage)
      if (!rule?.seek(subject, nowUs)) continue
      rule.refund(took, costOf(checked, subject), how)
      rule.lines.get(rule.key)?.serve()
    }
  }

  replaceBy(successor: RulesInForce): void {
    this.#successor = successor
  }

  /** Those in force now: what was taken by others is given back to those that went on with their buckets. */
  get now(): RulesInForce {
    return this.#successor === undefined ? this : this.#successor.now
  }

  /** `offendedUs`: when those offended that a rule refuses; undefined for who is asked for again and again, or later. */
  #refusal(subject: Subject, shadowed: readonly string[], offendedUs: number | undefined): MadeDecision {
    let outcome: Outcome = 'wait'
    let [worst, reason, retryAfterMs]: [string | undefined, Reason, number] = [undefined, 'over', -1]
    for (const [i, rule] of this.rules.entries()) {
      let look = this.#looks[i]!
      const { over, shadow, name } = rule.checked
      if (look === 'allows' || look === 'passes' || shadow) continue
      if (look === 'over' && rule.cost > 0 && offendedUs !== undefined && rule.offend(offendedUs)) {
        look = 'banned'
        this.#looks[i] = look
      }
      outcome = outcomeAfter(outcome, look === 'over' ? over : 'reject')
      const delayMs = look === 'over' || look === 'banned' ? rule.delayMs() : Number.POSITIVE_INFINITY
      if (delayMs > retryAfterMs) [worst, reason, retryAfterMs] = [name, look, delayMs]
    }
    return new MadeDecision(this, subject, undefined, {
      outcome,
      rule: worst,
      reason,
      retryAfterMs,
      shadowed,
    })
  }
}
