// limits(): rules in force in this process, and what they decide.
import { type Clock, systemClock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { ActiveRule, type Setting } from './active-rule.ts'
import { checkPenalty } from './cost.ts'
import type { Decision } from './decision.ts'
import { type Guarantee, guaranteesOf } from './guarantee.ts'
import { declaredBy, headersOf } from './key.ts'
import { KeyHash } from './memory/key-hash.ts'
import type { CheckedRule } from './rule/checked-rule.ts'
import { checkRules } from './rule/read-rules.ts'
import type { Rules } from './rule/rule.ts'
import { RulesInForce } from './rules-in-force.ts'
import type { Subject } from './subject.ts'
import { mostLines, WaitLine } from './wait-line.ts'

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
  /** Of a rule with a ban: how many began. */
  readonly bans?: number
  /** Of an adaptive rule: how many it allows at the same time at the moment; of several keys the fewest. */
  readonly atOnce?: number
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
  /** The headers by which rules in force bound, in small letters: without them nothing is decided later as it would be now. */
  headers(): readonly string[]
}

/** Puts rules in force in this process: their buckets are in its memory. Throws INVALID_RULE with every problem of a rule that cannot hold. */
export function limits(options: LimitsOptions): Limits {
  return new MemoryLimits(options)
}

class MemoryLimits implements Limits {
  readonly #clock: Clock
  readonly #setting: Setting
  #inForce: RulesInForce

  constructor(options: LimitsOptions) {
    checkOptions('limits', options, names)
    const { rules, keys = {}, maxKeys = 1_000_000, clock = systemClock } = options
    if (!Number.isInteger(maxKeys) || maxKeys < 1)
      throw new SpillwayError(
        'INVALID_OPTION',
        `limits: maxKeys is ${maxKeys}; it takes a whole number from 1.`,
      )
    this.#clock = clock
    this.#setting = { clock, maxKeys, hash: new KeyHash(), declared: declaredBy(keys) }
    this.#inForce = this.#putInForce(this.#check(rules).map((rule) => new ActiveRule(rule, this.#setting)))
  }

  decide(subject: Subject): Decision {
    return this.#inForce.decide(subject)
  }

  async admit(
    subject: Subject,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Decision> {
    const decision = this.#inForce.decide(subject)
    if (decision.outcome !== 'wait') return decision
    const rule = this.#inForce.rules.find(({ checked }) => checked.name === decision.rule)!
    const line = rule.lines.get(rule.key)
    if (line === undefined && rule.lines.size >= mostLines) return decision.insteadOfWaiting('line')
    return (line ?? this.#newLine(rule, rule.key)).join(subject, decision, signal)
  }

  penalize(subject: Subject, cost: number): void {
    checkPenalty(cost)
    this.#inForce.penalize(subject, cost)
  }

  reload(rules: Rules): void {
    const checked = this.#check(rules)
    const before = this.#inForce
    this.#inForce = this.#putInForce(checked.map((rule) => this.#inPlaceOf(before, rule)))
    before.replaceBy(this.#inForce)
    for (const { lines } of before.rules)
      for (const line of [...lines.values()])
        line.dissolve((subject, signal) => this.admit(subject, { signal }))
  }

  counts(): readonly RuleCounts[] {
    return this.#inForce.rules.map(({ checked, allowed, refused, waiting, table, bans, adaptive }) => ({
      rule: checked.name,
      allowed,
      refused,
      waiting,
      keys: table.used,
      overflowed: table.overflowed,
      ...(bans === undefined ? {} : { bans: bans.made }),
      ...(adaptive === undefined ? {} : { atOnce: adaptive.smallest }),
    }))
  }

  guarantees(): ReadonlyMap<string, readonly Guarantee[]> {
    return new Map(this.#inForce.rules.map(({ checked }) => [checked.name, guaranteesOf(checked)]))
  }

  headers(): readonly string[] {
    return headersOf(this.#inForce.rules.map(({ checked }) => checked))
  }

  #inPlaceOf(before: RulesInForce, checked: CheckedRule): ActiveRule {
    const old = before.rules.find((rule) => rule.checked.name === checked.name)
    const same = old !== undefined && sameBuckets(old.checked, checked)
    const keeps = old !== undefined && sameKeys(old.checked, checked)
    const rule = new ActiveRule(checked, this.#setting, same ? old.table : undefined, keeps ? old : undefined)
    if (old !== undefined) {
      if (same) rule.lineage = old.lineage
      else if (keeps && !becomesHeld(old.checked, checked)) rule.inherit(old, this.#nowUs())
      rule.allowed = old.allowed
      rule.refused = old.refused
    }
    return rule
  }

  #putInForce(rules: readonly ActiveRule[]): RulesInForce {
    return new RulesInForce(rules, () => this.#nowUs())
  }

  #newLine(rule: ActiveRule, key: string): WaitLine {
    const line = new WaitLine({
      rule: rule.checked.name,
      clock: this.#clock,
      most: rule.checked.line,
      longestWaitMs: rule.checked.longestWaitMs,
      decide: (first, sinceMs) => this.#inForce.decide(first, sinceMs),
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

/** What was used is over: nobody would ever give back a place for it. */
function becomesHeld(old: CheckedRule, checked: CheckedRule): boolean {
  return checked.perUs === undefined && old.perUs !== undefined
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
