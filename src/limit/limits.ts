// limits(): rules in force in this process, and what they decide.
import { type Clock, systemClock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { ActiveRule, type Look, type Setting } from './active-rule.ts'
import type { Decision, Outcome, Reason, RuleState } from './decision.ts'
import { type Guarantee, guaranteesOf } from './guarantee.ts'
import { type Afterwards, MadeDecision } from './made-decision.ts'
import { KeyHash } from './memory/key-hash.ts'
import type { CheckedRule } from './rule/checked-rule.ts'
import { checkRules } from './rule/read-rules.ts'
import type { Rules } from './rule/rule.ts'
import { ownValue, type Subject } from './subject.ts'
import { WaitLine } from './wait-line.ts'

export interface LimitsOptions {
  readonly rules: Rules
  /** Keys beside `user`, `address`, `device`, `apiKey` and `session`, by which rules may bound: values of the subject (true), or functions of it. */
  readonly keys?: Readonly<Record<string, true | ((subject: Subject) => string | undefined)>>
  /** How many buckets each rule keeps at most. Keys for which there is no room share one. Default 1,000,000. */
  readonly maxKeys?: number
  readonly clock?: Clock
}

const names: OptionNames<LimitsOptions> = { rules: true, keys: true, maxKeys: true, clock: true }

/** What a rule has done since it is in force. */
export interface RuleCounts {
  readonly rule: string
  readonly allowed: number
  /** Of a rule in shadow: what it would have refused. */
  readonly refused: number
  readonly waiting: number
  /** Buckets in memory; some may be idle. */
  readonly keys: number
  /** Requests that went by the bucket which those keys share for which there is no room. */
  readonly overflowed: number
}

export interface Limits {
  /**
   * Decides by all rules at once: counted in each of them, or in none. Synchronous. Where a rule says to wait the outcome is 'wait', and nothing was
   * counted: `admit` waits. Throws INVALID_OPTION for a cost that is no number.
   */
  decide(subject: Subject): Decision
  /** As `decide`, but waits in the line where a rule says so: resolves to any outcome but 'wait'. Never rejects because of the rules. */
  admit(subject: Subject, options?: { readonly signal?: AbortSignal | undefined }): Promise<Decision>
  /** Takes so much in every rule that bounds the subject, whether it is there or not, down to as much below zero as the limit is. */
  penalize(subject: Subject, cost: number): void
  /**
   * Puts other rules in force, all of them or, with INVALID_RULE, none. Rules of the same name keep their buckets; where numbers changed, what was
   * spent counts as spent now. Those who wait do so by the new rules.
   */
  reload(rules: Rules): void
  counts(): readonly RuleCounts[]
  /** The true worst case of each rule, for each of its plans. */
  guarantees(): ReadonlyMap<string, readonly Guarantee[]>
}

/** Puts rules in force in this process: their buckets are in its memory. Throws INVALID_RULE with every problem of a rule that cannot hold. */
export function limits(options: LimitsOptions): Limits {
  return new MemoryLimits(options)
}

class MemoryLimits implements Limits, Afterwards {
  readonly #clock: Clock
  readonly #setting: Setting
  #rules: readonly ActiveRule[]
  /** What each rule said to the subject that is being decided about. */
  #looks: Look[] = []

  constructor(options: LimitsOptions) {
    checkOptions('limits', options, names)
    const { rules, keys = {}, maxKeys = 1_000_000, clock = systemClock } = options
    if (!Number.isInteger(maxKeys) || maxKeys < 1)
      throw new SpillwayError(
        'INVALID_OPTION',
        `limits: maxKeys is ${maxKeys}; it takes a whole number from 1.`,
      )
    this.#clock = clock
    const declared = Object.entries(keys).map(
      ([name, of]) => [name, of === true ? (subject: Subject) => ownValue(subject, name) : of] as const,
    )
    this.#setting = { clock, maxKeys, hash: new KeyHash(), declared: new Map(declared) }
    this.#rules = this.#check(rules).map((rule) => new ActiveRule(rule, this.#setting))
  }

  decide(subject: Subject): Decision {
    return this.#decide(subject, undefined)
  }

  async admit(
    subject: Subject,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Decision> {
    const decision = this.#decide(subject, undefined)
    if (decision.outcome !== 'wait') return decision
    const rule = this.#rules.find(({ checked }) => checked.name === decision.rule)!
    const { key } = rule
    const line = rule.lines.get(key) ?? this.#newLine(rule, key)
    return line.join(subject, decision, signal)
  }

  penalize(subject: Subject, cost: number): void {
    if (!Number.isSafeInteger(cost) || cost < 0)
      throw new SpillwayError('INVALID_OPTION', `A penalty costs ${cost}; it takes a whole number from 0.`)
    const nowUs = this.#nowUs()
    for (const rule of this.#rules) {
      const look = rule.look(subject, nowUs, true)
      if (look !== 'passes' && look !== 'missing' && rule.checked.perUs !== undefined) rule.take(cost)
    }
  }

  reload(rules: Rules): void {
    const checked = this.#check(rules)
    const nowUs = this.#nowUs()
    const old = new Map(this.#rules.map((rule) => [rule.checked.name, rule]))
    this.#rules = checked.map((rule) => {
      const before = old.get(rule.name)
      const same = before !== undefined && sameBuckets(before.checked, rule)
      const now = new ActiveRule(rule, this.#setting, same ? before.table : undefined)
      if (before !== undefined && !same && sameKeys(before.checked, rule)) now.inherit(before, nowUs)
      if (before !== undefined) [now.allowed, now.refused] = [before.allowed, before.refused]
      return now
    })
    this.#looks = []
    for (const before of old.values())
      for (const line of [...before.lines.values()]) line.dissolve((subject) => this.admit(subject))
  }

  counts(): readonly RuleCounts[] {
    return this.#rules.map((rule) => ({
      rule: rule.checked.name,
      allowed: rule.allowed,
      refused: rule.refused,
      waiting: rule.waiting,
      keys: rule.table.used,
      overflowed: rule.table.overflowed,
    }))
  }

  guarantees(): ReadonlyMap<string, readonly Guarantee[]> {
    return new Map(this.#rules.map(({ checked }) => [checked.name, guaranteesOf(checked)]))
  }

  states(subject: Subject): readonly RuleState[] {
    const nowUs = this.#nowUs()
    return this.#rules.flatMap((rule) => {
      const look = rule.look(subject, nowUs, true)
      return look === 'passes' || look === 'missing' ? [] : [rule.state(subject, look !== 'allows')]
    })
  }

  giveBack(
    subject: Subject,
    rules: readonly ActiveRule[],
    taken: readonly (number | undefined)[],
    held: boolean,
  ): void {
    const nowUs = this.#nowUs()
    for (const [i, rule] of rules.entries()) {
      const took = taken[i]
      const isHeld = rule.checked.perUs === undefined
      if (took === undefined || isHeld !== held || Number.isNaN(took)) continue
      // The rules may have changed since: those that keep their buckets are given back to.
      const now = this.#rules.find(({ checked }) => checked.name === rule.checked.name) ?? rule
      const look = now.look(subject, nowUs, true)
      if (look === 'passes' || look === 'missing') continue
      now.refund(now.cost, took)
      now.lines.get(now.key)?.serve()
    }
  }

  #decide(subject: Subject, line: ActiveRule | undefined): MadeDecision {
    const rules = this.#rules
    const looks = this.#looks
    const nowUs = this.#nowUs()
    let refused = false
    let shadowed: readonly string[] | undefined
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!
      const look = rule.look(subject, nowUs, rule === line)
      looks[i] = look
      if (look === 'allows' || look === 'passes') continue
      // Whoever stands first in a line is asked for again and again.
      if (line === undefined) rule.refused += 1
      if (rule.checked.shadow) shadowed = [...(shadowed ?? []), rule.checked.name]
      else refused = true
    }
    if (refused) return this.#refusal(subject, shadowed)
    const taken: (number | undefined)[] = []
    for (let i = 0; i < rules.length; i++) {
      if (looks[i] === 'allows') {
        const rule = rules[i]!
        rule.allowed += 1
        taken.push(rule.take())
      } else taken.push(undefined)
    }
    return new MadeDecision(this, subject, rules, taken, shadowed)
  }

  #refusal(subject: Subject, shadowed: readonly string[] | undefined): MadeDecision {
    let outcome: Outcome = 'wait'
    let [worst, reason, retryAfterMs]: [ActiveRule | undefined, Reason, number] = [undefined, 'over', -1]
    for (const [i, rule] of this.#rules.entries()) {
      const look = this.#looks[i]!
      if (look === 'allows' || look === 'passes' || rule.checked.shadow) continue
      const { over } = rule.checked
      if (look !== 'over' || over === 'reject') outcome = 'reject'
      else if (over === 'defer' && outcome === 'wait') outcome = 'defer'
      const delayMs = look === 'over' ? rule.delayMs() : Number.POSITIVE_INFINITY
      if (delayMs <= retryAfterMs) continue
      ;[worst, reason, retryAfterMs] = [rule, look, delayMs]
    }
    return new MadeDecision(
      this,
      subject,
      this.#rules,
      undefined,
      shadowed,
      outcome,
      worst!.checked.name,
      reason,
      retryAfterMs,
    )
  }

  #newLine(rule: ActiveRule, key: string): WaitLine {
    const line = new WaitLine({
      clock: this.#clock,
      most: rule.checked.line,
      longestWaitMs: rule.checked.longestWaitMs,
      decide: (first) => this.#decide(first, rule),
      emptied: () => rule.lines.delete(key),
    })
    rule.lines.set(key, line)
    return line
  }

  #check(rules: Rules): readonly CheckedRule[] {
    return checkRules(rules, this.#setting.declared.keys())
  }

  #nowUs(): number {
    return Math.floor(this.#clock.elapsed() * 1_000)
  }
}

/** The same key of a subject has the same hash in both. */
function sameKeys(a: CheckedRule, b: CheckedRule): boolean {
  return JSON.stringify([a.by, a.missing]) === JSON.stringify([b.by, b.missing]) && sameFunctions(a, b)
}

function sameFunctions({ by }: CheckedRule, other: CheckedRule): boolean {
  return by.every((part, i) => {
    const same = other.by[i]
    return part.kind !== 'function' || (same?.kind === 'function' && same.of === part.of)
  })
}

function sameBuckets(a: CheckedRule, b: CheckedRule): boolean {
  return sameKeys(a, b) && JSON.stringify([a.bounds, a.calendar]) === JSON.stringify([b.bounds, b.calendar])
}
