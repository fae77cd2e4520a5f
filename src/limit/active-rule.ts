// A rule in force: which subjects it bounds, by which bucket, and how many it allowed and refused.
import { type Algorithm, boundOf, bucketOf } from '../core/bucket/algorithm.ts'
import type { Bucket } from '../core/bucket/bucket.ts'
import type { Clock } from '../core/clock.ts'
import { AdaptiveLimits } from './adaptive/adaptive-limits.ts'
import { Bans } from './bans.ts'
import { costOf } from './cost.ts'
import type { Decision, Reason, RuleState, WorkEnd } from './decision.ts'
import type { Declared, ReadPart } from './key.ts'
import type { KeyHash } from './memory/key-hash.ts'
import { Table } from './memory/table.ts'
import { readsOf } from './reads.ts'
import type { Bound, CheckedRule } from './rule/checked-rule.ts'
import { fillMs, ruleState } from './rule-state.ts'
import type { Subject } from './subject.ts'

/** What all rules of one set of limits go by. */
export interface Setting {
  readonly clock: Clock
  readonly hash: KeyHash
  readonly declared: Declared
  readonly maxKeys: number
}

/** A decision to wait, that can be turned into another. */
export interface Refusal extends Decision {
  insteadOfWaiting(reason: Reason): Decision
}

/** Those who wait for one bucket (`wait-line.ts`). */
export interface Line {
  readonly length: number
  /** Since when the first of them waits, in milliseconds of the monotonic clock. */
  readonly sinceMs: number
  /** Waits for an answer other than to wait; `refusal` is what it was told. */
  join(subject: Subject, refusal: Refusal, signal: AbortSignal | undefined): Promise<Decision>
  /** Asks again for the first, and for the next as long as they get an answer. */
  serve(): void
  /** Nobody waits here any more: `again` is what they get instead. */
  dissolve(again: (subject: Subject, signal: AbortSignal | undefined) => Promise<Decision>): void
}

/** What `look` found. */
export type Look = 'passes' | 'allows' | Reason

export class ActiveRule {
  readonly checked: CheckedRule
  readonly table: Table
  readonly bans: Bans | undefined
  readonly adaptive: AdaptiveLimits | undefined
  /** The same for all rules that went on with the buckets of one another: what was taken is given back to these only. */
  lineage: object = {}
  /** The lines of those who wait, by key. */
  readonly lines: Map<string, Line> = new Map()
  allowed = 0
  refused = 0
  /** Of the subject that was looked at last: its key, what it takes, and the time of the rule's clock. */
  key = ''
  cost = 0
  #nowUs = 0
  #found = false
  #algorithm: Algorithm
  readonly #setting: Setting
  readonly #on: ((on: string | undefined) => boolean) | undefined
  readonly #excepts: ((subject: Subject) => boolean) | undefined
  readonly #keyOf: ReadPart
  readonly #isOwn: (subject: Subject) => boolean
  readonly #bucket: Bucket<Algorithm>
  /** The key of all that have no value for it. */
  readonly #nobody: string
  readonly #ends: ((nowMs: number) => number) | undefined
  /** Calendars: when the window of now ends. Never goes back: no window that has passed is opened again. */
  #endMs = 0
  #smallest: Algorithm
  /** By which a state was told last, and how long it takes to fill. */
  #filled: Algorithm | undefined
  #fillMs: number | undefined
  #byPlan: ReadonlyMap<string | undefined, Algorithm> | undefined

  constructor(checked: CheckedRule, setting: Setting, table?: Table, before?: ActiveRule) {
    const { bounds } = checked
    const { on, excepts, keyOf, nobody, isOwn, ends } = readsOf(checked, setting.declared)
    this.checked = checked
    this.#setting = setting
    this.#on = on
    this.#excepts = excepts
    this.#keyOf = keyOf
    this.#isOwn = isOwn
    this.#ends = ends
    this.#smallest = bounds[0].algorithm
    this.#algorithm = this.#smallest
    this.#bucket = bucketOf(this.#smallest)
    this.#setBounds(({ algorithm }) => algorithm)
    const slowest = () => this.#slowest()
    this.table = table ?? new Table(this.#bucket, slowest, setting.maxKeys)
    this.table.goBy(slowest)
    const { ban, shadow } = checked
    if (ban !== undefined && !shadow) {
      this.bans = before?.bans ?? new Bans(ban, setting.maxKeys)
      this.bans.goBy(ban)
    }
    const { adaptive } = checked
    if (adaptive !== undefined) {
      this.adaptive = before?.adaptive ?? new AdaptiveLimits(adaptive)
      this.adaptive.goBy(adaptive)
    }
    this.#nobody = nobody
  }

  /**
   * Whether the rule allows it. Changes nothing; `take` and the like then speak of this subject. `sinceMs`: since when it waits; nobody overtakes a line
   * in which somebody has waited for longer. (Not "any line": two that stand first in one line each would wait for each other.)
   */
  look(subject: Subject, elapsedUs: number, sinceMs: number): Look {
    if (this.#on !== undefined && !this.#on(subject.on)) return 'passes'
    if (this.#excepts?.(subject)) return 'passes'
    const key = this.#keyOf(subject)
    if (key === undefined) return this.checked.missing === 'skip' ? 'passes' : 'missing'
    this.cost = costOf(this.checked, subject)
    this.#goTo(key, subject, elapsedUs)
    if (this.adaptive !== undefined) this.#algorithm = this.adaptive.boundOf(key)
    const banned = this.bans?.look(this.#setting.hash, elapsedUs) === true
    if (this.cost > boundOf(this.#algorithm)) return this.adaptive?.reaches(this.cost) ? 'over' : 'cost'
    if (banned) return 'banned'
    if (this.#available() < this.cost) return 'over'
    const before = this.lines.size > 0 ? this.lines.get(key) : undefined
    return before !== undefined && before.sinceMs < sinceMs ? 'over' : 'allows'
  }

  /** Goes to the bucket of a subject that it has bounded, whatever the rule is about by now. False when it has none. */
  seek(subject: Subject, elapsedUs: number): boolean {
    const key = this.#keyOf(subject)
    if (key === undefined) return false
    this.#goTo(key, subject, elapsedUs)
    return true
  }

  /** Takes what it costs. Returns what `refund` takes; not a number where it took nothing. */
  take(): number {
    this.allowed += 1
    return this.takeMore(this.cost)
  }

  /** Takes, whether it is there or not. */
  takeMore(cost: number): number {
    if (cost === 0) return Number.NaN
    const { table } = this
    if (!this.#found) {
      this.#setting.hash.of(this.key)
      table.add(this.#setting.hash, this.#nowUs)
      this.#found = true
    }
    const takenUs = this.#bucket.take(table.numbers, table.at, this.#algorithm, this.#nowUs, cost)
    // What was taken from the bucket that keys share is given back there.
    return table.shared ? -1 - takenUs : takenUs
  }

  /** After `seek`. */
  refund(taken: number, cost: number, how: WorkEnd): void {
    const { table } = this
    if (taken < 0) table.findShared()
    else if (!this.#found) return
    const takenUs = taken < 0 ? -1 - taken : taken
    this.adaptive?.end(this.key, takenUs, this.#nowUs, table.numbers[table.at]!, how)
    this.#bucket.refund(table.numbers, table.at, this.#algorithm, this.#nowUs, cost, takenUs)
  }

  /** The subject that was looked at did what is not allowed; whether it is banned now. */
  offend(elapsedUs: number): boolean {
    // Of a bucket that several share nobody knows who did it.
    if (this.bans === undefined || this.table.shared || this.key === this.#nobody) return false
    this.#setting.hash.of(this.key)
    return this.bans.offend(this.#setting.hash, elapsedUs)
  }

  /** In milliseconds, when so much can be taken. */
  delayMs(cost: number = this.cost): number {
    const { numbers, at } = this.table
    const delayUs = this.#bucket.earliest(numbers, at, this.#algorithm, this.#nowUs, cost) - this.#nowUs
    return (this.bans === undefined ? delayUs : Math.max(delayUs, this.bans.leftUs)) / 1_000
  }

  state(subject: Subject, refuses: boolean): RuleState {
    const remaining = this.bans !== undefined && this.bans.leftUs > 0 ? 0 : this.#available()
    const algorithm = this.#algorithm
    if (algorithm !== this.#filled) {
      this.#filled = algorithm
      this.#fillMs = fillMs(algorithm, this.checked.perUs)
    }
    return ruleState(this.checked, algorithm, {
      refuses,
      remaining,
      fillMs: this.#fillMs,
      own: !this.table.shared && this.#isOwn(subject),
      nextMs: remaining >= 1 ? 0 : this.delayMs(1),
      resetMs: this.delayMs(boundOf(algorithm)),
    })
  }

  /** Takes over the buckets of the same rule with other numbers: what was spent of each counts as spent now, and comes back by the new ones. */
  inherit(old: ActiveRule, elapsedUs: number): void {
    this.lineage = old.lineage
    const nowUs = this.#ends === undefined ? elapsedUs : this.#calendarNow()
    const oldNowUs = old.#ends === undefined ? elapsedUs : old.#calendarNow()
    const [from, to] = [old.table, this.table]
    const spent = () =>
      boundOf(old.#smallest) - old.#bucket.available(from.numbers, from.at, old.#smallest, oldNowUs)
    // By the largest plan: it takes whatever another plan had spent.
    const largest = [...(this.#byPlan?.values() ?? [this.#smallest])].at(-1)!
    const spend = (cost: number) => this.#bucket.take(to.numbers, to.at, largest, nowUs, cost)
    from.each(oldNowUs, (hash) => {
      const cost = spent()
      if (cost <= 0) return
      to.find(hash, nowUs)
      to.add(hash, nowUs)
      spend(cost)
    })
    from.findShared()
    const shared = spent()
    to.findShared()
    if (shared > 0) spend(shared)
    to.overflowed = from.overflowed
  }

  get waiting(): number {
    let waiting = 0
    for (const line of this.lines.values()) waiting += line.length
    return waiting
  }

  #goTo(key: string, subject: Subject, elapsedUs: number): void {
    this.key = key
    this.#nowUs = this.#ends === undefined ? elapsedUs : this.#calendarNow()
    if (this.#byPlan !== undefined) this.#algorithm = this.#byPlan.get(subject.plan) ?? this.#smallest
    this.#setting.hash.of(key)
    this.#found = this.table.find(this.#setting.hash, this.#nowUs)
  }

  #available(): number {
    const { numbers, at } = this.table
    return this.#bucket.available(numbers, at, this.#algorithm, this.#nowUs)
  }

  #calendarNow(): number {
    const nowMs = this.#setting.clock.now()
    if (nowMs >= this.#endMs) {
      this.#endMs = this.#ends!(nowMs)
      const endUs = this.#endMs * 1_000
      this.#setBounds(({ algorithm }) => ({ ...algorithm, endUs }) as Algorithm)
    }
    return nowMs * 1_000
  }

  #setBounds(algorithmOf: (bound: Bound) => Algorithm): void {
    const { bounds } = this.checked
    this.#smallest = algorithmOf(bounds[0])
    this.#algorithm = this.#smallest
    if (bounds[0].plan !== undefined)
      this.#byPlan = new Map(bounds.map((bound) => [bound.plan, algorithmOf(bound)]))
  }

  /** By which a bucket is idle only when it is by those of all plans. */
  #slowest(): Algorithm {
    const rate = (algorithm: Algorithm) => ('rate' in algorithm ? algorithm.rate : 0)
    return [...(this.#byPlan?.values() ?? [this.#smallest])].reduce((a, b) => (rate(b) < rate(a) ? b : a))
  }
}
