// sharedLimits(): rules whose buckets several processes share in a store. Most decisions are made from leases, without a round trip.
import { type Clock, systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../core/known-options.ts'
import type { BucketAnswer, LimitVerdict } from '../../ports/limit.ts'
import { checkPenalty } from '../cost.ts'
import { type Decision, type Outcome, outcomeAfter, type Reason, type RuleState } from '../decision.ts'
import { type Guarantee, guaranteesOf } from '../guarantee.ts'
import { type Declared, declaredBy, headersOf } from '../key.ts'
import { checkRules } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'
import { askedAgain, type Subject } from '../subject.ts'
import { type Asked, AskedRule } from './asked-rule.ts'
import type { LeaseBook } from './lease-book.ts'
import { LocalShares } from './local-shares.ts'
import { checkShareable } from './shareable.ts'
import { banAsks, SharedBans } from './shared-bans.ts'
import { SharedBuckets, type Untold } from './shared-buckets.ts'
import { type SharedAfterwards, SharedDecision, type Taken } from './shared-decision.ts'
import type { SharedLimits, SharedLimitsOptions, SharedRuleCounts } from './shared-limits-api.ts'
import { type Answers, type Banned, statesOf } from './states.ts'
import { Turns } from './turns.ts'
import { refuses, worstOf } from './worst.ts'

const names: OptionNames<SharedLimitsOptions> = {
  rules: true,
  store: true,
  keys: true,
  leaseMs: true,
  timeoutMs: true,
  clock: true,
}

/** Puts rules in force whose buckets all processes share that use the same store. Throws INVALID_RULE with every problem of a rule that cannot hold. */
export function sharedLimits(options: SharedLimitsOptions): SharedLimits {
  return new StoredLimits(options)
}

class StoredLimits implements SharedLimits, SharedAfterwards {
  readonly #clock: Clock
  readonly #declared: Declared
  readonly #buckets: SharedBuckets
  readonly #book: LeaseBook
  readonly #shares = new LocalShares()
  readonly #bans = new SharedBans()
  readonly #turns: Turns
  #rules: readonly AskedRule[]
  #closing: Promise<void> | undefined

  constructor(options: SharedLimitsOptions) {
    checkOptions('sharedLimits', options, names)
    const { rules, store, keys = {}, leaseMs = 1_000, timeoutMs = 100, clock = systemClock } = options
    for (const [name, value, most] of [
      ['leaseMs', leaseMs, 60_000],
      ['timeoutMs', timeoutMs, 60_000],
    ] as const)
      if (!Number.isInteger(value) || value < 10 || value > most)
        throw new SpillwayError(
          'INVALID_OPTION',
          `sharedLimits: ${name} is ${value}; it takes whole milliseconds from 10 to ${most}.`,
        )
    if (typeof store?.exchange !== 'function')
      throw new SpillwayError(
        'INVALID_OPTION',
        'sharedLimits: store is no store of limits. Open an engine that keeps them (sqlite, postgres, redis), and give its `limit`.',
      )
    this.#clock = clock
    this.#declared = declaredBy(keys)
    this.#buckets = new SharedBuckets(store, clock, leaseMs, timeoutMs)
    this.#book = this.#buckets.book
    this.#turns = new Turns(clock)
    this.#rules = this.#active(rules)
  }

  async decide(subject: Subject): Promise<Decision> {
    return this.#decide(subject)
  }

  async admit(
    subject: Subject,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Decision> {
    const dueMs = this.#clock.elapsed()
    const decision = await this.#decide(subject)
    if (decision.outcome !== 'wait') return decision
    const rule = this.#rules.find(({ checked }) => checked.name === decision.rule)
    const asked = rule?.ask(subject)
    if (rule === undefined || typeof asked !== 'object') return decision.refusedFor('over')
    const { line, longestWaitMs } = rule.checked
    return this.#turns.wait(decision, {
      bucket: asked.bucket,
      rule: rule.checked.name,
      most: line,
      dueMs: dueMs + longestWaitMs,
      signal,
      decide: () => this.#decide(subject, true),
    })
  }

  penalize(subject: Subject, cost: number): void {
    checkPenalty(cost)
    this.penalizeAsked(
      this.#rules.map((rule) => rule.ask(subject)).filter((each) => typeof each === 'object'),
      cost,
    )
  }

  penalizeAsked(asked: readonly Asked[], cost: number): void {
    for (const each of asked) {
      if (each.rule.isHeld) continue
      const add = (units: number) => (untold: Untold) => {
        untold.penalty = Math.min(untold.penalty + units, Number.MAX_SAFE_INTEGER)
      }
      this.#buckets.tell(each, add(cost))
      // Whatever it costs, it is one offence.
      if (each.ban && cost > 0) this.#buckets.tell(each.ban, add(1))
    }
  }

  reload(rules: Rules): void {
    const before = new Map(this.#rules.map((rule) => [rule.checked.name, rule]))
    this.#rules = this.#active(rules)
    for (const rule of this.#rules) {
      const was = before.get(rule.checked.name)
      if (was) [rule.allowed, rule.refused, rule.bans] = [was.allowed, was.refused, was.bans]
    }
    // What was leased by other numbers is not used any more; what was taken or given back by them is told first.
    this.#buckets.recall()
  }

  counts(): readonly SharedRuleCounts[] {
    return this.#rules.map(({ checked, allowed, refused, bans }) => ({
      rule: checked.name,
      allowed,
      refused,
      waiting: this.#turns.waiting(checked.name),
      ...(checked.ban === undefined ? {} : { bans }),
    }))
  }

  guarantees(): ReadonlyMap<string, readonly Guarantee[]> {
    return new Map(this.#rules.map(({ checked }) => [checked.name, guaranteesOf(checked)]))
  }

  headers(): readonly string[] {
    return headersOf(this.#rules.map(({ checked }) => checked))
  }

  close(): Promise<void> {
    this.#closing ??= this.#buckets.close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  giveBack(taken: readonly Taken[], held: boolean): void {
    for (const { asked, lease, takenUs } of taken) {
      if (asked.rule.isHeld !== held || asked.cost === 0) continue
      if (held) {
        this.#book.end(asked.bucket, asked.cost)
        this.#buckets.tell(asked, () => {})
      } else if (lease !== undefined) {
        // What was settled meanwhile stays used.
        if (this.#book.isOut(asked.bucket, lease)) lease.used -= asked.cost
      } else if (takenUs !== undefined)
        this.#buckets.tell(asked, ({ refunds }) => refunds.push({ units: asked.cost, takenUs }))
    }
  }

  /** `inTurn`: those before it in its line have gone. */
  async #decide(subject: Subject, inTurn = false): Promise<SharedDecision> {
    if (this.#closing) throw new SpillwayError('CLOSED', 'The limits were closed.')
    const all: Asked[] = []
    const shadowed: string[] = []
    for (const rule of this.#rules) {
      const asked = rule.ask(subject)
      if (asked === 'passes') continue
      if (typeof asked === 'object') all.push(asked)
      else {
        rule.refused += 1
        if (!rule.checked.shadow)
          return this.#refusal(rule, asked, Number.POSITIVE_INFINITY, { shadowed, asked: all, states: none })
        shadowed.push(rule.checked.name)
      }
    }
    const known = this.#bans.known(all, this.#clock.elapsed())
    if (known.size > 0) return this.#bannedHere(subject, all, shadowed, known)
    const behind = inTurn ? undefined : this.#behind(subject, all, shadowed)
    if (behind !== undefined) return behind
    for (const { bucket, algorithm, cost } of all)
      if (this.#book.enters(bucket, algorithm, this.#clock.elapsed()))
        this.#book.count(bucket, cost, this.#clock.elapsed())
    const { questions } = this.#book
    for (let nothing = false; ; ) {
      const nowMs = this.#clock.elapsed()
      if (all.every(({ bucket, cost }) => this.#book.covers(bucket, cost, nowMs)))
        return this.#allowed(subject, all, shadowed, this.#fromLeases(all), undefined)
      const asking = all.map(({ bucket }) => this.#book.asking(bucket)).find((each) => each !== undefined)
      if (asking === undefined || nothing)
        return this.#askStore(subject, all, shadowed, inTurn, asking !== undefined)
      await asking
      const full = this.#full(subject, all, shadowed, questions, inTurn)
      if (full !== undefined) return full
      // Where many are refused their questions would stand in line, each for a round trip: who heard that there is nothing for him asks beside the next one.
      nothing =
        !all.some(({ rule }) => rule.isHeld) && all.some(({ bucket, cost }) => this.#book.lacks(bucket, cost))
    }
  }

  /** Who comes while others wait for one of its buckets has to wait too. */
  #behind(subject: Subject, all: readonly Asked[], shadowed: readonly string[]): SharedDecision | undefined {
    for (const { rule, bucket } of all) {
      if (rule.checked.over !== 'wait' || rule.checked.shadow) continue
      const againAtMs = this.#turns.againAtMs(bucket)
      if (againAtMs === undefined) continue
      rule.refused += 1
      const states = () => statesOf(subject, all, this.#book, new Map(), new Set())
      const inMs = Math.max(1, againAtMs - this.#clock.elapsed())
      return this.#refusal(rule, 'over', inMs, { shadowed, asked: all, states }, 'wait')
    }
    return undefined
  }

  /**
   * Where places are used up, an answer to a question that was asked after these many holds for all who were there by then: each would hear the same, one
   * round trip after the other. What else is to be told of a ban or a rule in shadow the store is asked.
   */
  #full(
    subject: Subject,
    all: readonly Asked[],
    shadowed: readonly string[],
    questions: number,
    inTurn: boolean,
  ): SharedDecision | undefined {
    if (all.some(({ rule, ban }) => rule.checked.shadow || ban !== undefined)) return undefined
    for (const asked of all) {
      const { rule, bucket, cost } = asked
      const left = rule.isHeld && cost > 0 ? this.#book.placesSince(bucket, questions) : undefined
      if (left === undefined || left >= cost) continue
      if (!inTurn) rule.refused += 1
      const answer = { available: left, held: 0, earliestUs: Number.POSITIVE_INFINITY, takenUs: 0 }
      const answers: Answers = new Map([
        [asked, { answer, verdict: { allowed: false, nowUs: 0, buckets: [answer] } }],
      ])
      const states = () => statesOf(subject, all, this.#book, answers, new Set([asked]))
      const outcome = outcomeAfter('wait', rule.checked.over)
      return this.#refusal(rule, 'over', Number.POSITIVE_INFINITY, { shadowed, asked: all, states }, outcome)
    }
    return undefined
  }

  #fromLeases(all: readonly Asked[]): Taken[] {
    return all.map((asked) => {
      const lease = this.#book.take(asked.bucket, asked.cost)
      if (asked.rule.isHeld) this.#book.begin(asked.bucket, asked.cost)
      return { asked, lease }
    })
  }

  async #askStore(
    subject: Subject,
    all: readonly Asked[],
    shadowed: readonly string[],
    inTurn: boolean,
    beside: boolean,
  ): Promise<SharedDecision> {
    const bounding = all.filter(({ rule }) => !rule.checked.shadow)
    const inShadow = all.filter(({ rule }) => rule.checked.shadow)
    // What a rule in shadow says is nobody's business but its own.
    const groups = [...(bounding.length > 0 ? [bounding] : []), ...inShadow.map((asked) => [asked])]
    const sentMs = this.#clock.elapsed()
    const verdicts = await (beside ? this.#buckets.askBeside(groups) : this.#buckets.exchange(groups))
    if (verdicts === undefined) return this.#away(subject, bounding, shadowed)
    this.#shares.rest(Math.floor(this.#clock.elapsed() * 1_000), this.#clock.now() * 1_000)
    const answers = new Map<Asked, { readonly answer: BucketAnswer; readonly verdict: LimitVerdict }>()
    for (const [index, group] of groups.entries())
      for (const [at, asked] of group.entries())
        answers.set(asked, { answer: verdicts[index]!.buckets[at]!, verdict: verdicts[index]! })
    const over = groups.flatMap((group, index) =>
      verdicts[index]!.allowed
        ? []
        : group.filter((asked) => refuses(asked, answers.get(asked)!.answer, this.#book.inUse(asked.bucket))),
    )
    const banned = new Map(
      bounding.length === 0 ? [] : this.#bans.heard(bounding, verdicts[0], answers, sentMs),
    )
    const offends = subject[askedAgain]
      ? []
      : over.filter((asked) => asked.ban !== undefined && !banned.has(asked))
    for (const [asked, leftMs] of await this.#offend(offends, answers)) banned.set(asked, leftMs)
    const refused = [...over, ...[...banned.keys()].filter((asked) => !over.includes(asked))]
    if (bounding.length > 0 && !verdicts[0]!.allowed && !refused.some((asked) => bounding.includes(asked)))
      refused.push(...bounding)
    // Whoever stands first in a line asks again and again.
    if (!inTurn) for (const { rule } of refused) rule.refused += 1
    const told = [
      ...shadowed,
      ...refused.filter(({ rule }) => rule.checked.shadow).map(({ rule }) => rule.checked.name),
    ]
    const taken = all
      .filter((asked) => answers.get(asked)!.verdict.allowed)
      .map((asked) => ({ asked, takenUs: answers.get(asked)!.answer.takenUs }))
    if (bounding.length === 0 || verdicts[0]!.allowed)
      return this.#allowed(subject, all, told, taken, answers)
    // What rules in shadow counted of a request that was refused they had not counted either.
    this.giveBack(taken, false)
    this.giveBack(taken, true)
    const states = () => statesOf(subject, all, this.#book, answers, new Set(refused), banned)
    const { leaseMs } = this.#book
    const { rule, reason, retryAfterMs, outcome } = worstOf(refused, over, banned, answers, leaseMs)
    return this.#refusal(rule, reason, retryAfterMs, { shadowed: told, asked: all, states }, outcome)
  }

  /** Who is known to be banned is refused without asking. */
  #bannedHere(
    subject: Subject,
    all: readonly Asked[],
    shadowed: readonly string[],
    known: Banned,
  ): SharedDecision {
    const [worst, longest] = [...known].reduce((a, b) => (b[1] > a[1] ? b : a))
    for (const { rule } of known.keys()) rule.refused += 1
    const states = () => statesOf(subject, all, this.#book, new Map(), new Set(known.keys()), known)
    return this.#refusal(worst.rule, 'banned', longest, { shadowed, asked: all, states })
  }

  /** Tells who was refused, at once: the answer to him says whether that was the last of his offences. */
  async #offend(all: readonly Asked[], answers: Answers): Promise<Banned> {
    if (all.length === 0) return new Map()
    const sentMs = this.#clock.elapsed()
    const verdicts = await this.#buckets.ask(banAsks(all, 1))
    const banned = this.#bans.heard(all, verdicts?.[0], answers, sentMs)
    for (const { rule } of banned.keys()) rule.bans += 1
    return banned
  }

  /** The store cannot be asked: each rule has said what holds then. */
  #away(subject: Subject, bounding: readonly Asked[], shadowed: readonly string[]): SharedDecision {
    const asked = bounding
    const states = () => statesOf(subject, bounding, this.#book, new Map(), new Set())
    const rest = { shadowed, asked, states }
    const closed = bounding.find(({ rule }) => rule.checked.away === 'closed')
    const shares = bounding.flatMap((each) => {
      const { away } = each.rule.checked
      return typeof away === 'object'
        ? [{ asked: each, share: away.share, inUse: this.#book.inUse(each.bucket) }]
        : []
    })
    const nowUs = Math.floor(this.#clock.elapsed() * 1_000)
    const refuses = closed ?? (this.#shares.decide(shares, nowUs) ? undefined : shares[0]!.asked)
    if (refuses) {
      refuses.rule.refused += 1
      return this.#refusal(refuses.rule, 'away', this.#buckets.awayMs, rest)
    }
    for (const { rule, bucket, cost } of bounding) if (rule.isHeld) this.#book.begin(bucket, cost)
    return this.#allowed(
      subject,
      bounding,
      shadowed,
      bounding.map((each) => ({ asked: each })),
      undefined,
    )
  }

  #allowed(
    subject: Subject,
    all: readonly Asked[],
    shadowed: readonly string[],
    taken: readonly Taken[],
    answers: Answers | undefined,
  ): SharedDecision {
    for (const { rule } of all) if (!shadowed.includes(rule.checked.name)) rule.allowed += 1
    const states = () => statesOf(subject, all, this.#book, answers ?? new Map(), new Set())
    return new SharedDecision(this, { outcome: 'allow', shadowed, asked: all, taken, states })
  }

  #refusal(
    { checked }: AskedRule,
    reason: Reason,
    retryAfterMs: number,
    rest: Pick<ConstructorParameters<typeof SharedDecision>[1], 'shadowed' | 'asked' | 'states'>,
    outcome: Outcome = 'reject',
  ): SharedDecision {
    return new SharedDecision(this, { ...rest, taken: [], outcome, rule: checked.name, reason, retryAfterMs })
  }

  #active(rules: Rules): readonly AskedRule[] {
    return checkShareable(rules, checkRules(rules, this.#declared.keys())).map(
      (checked) => new AskedRule(checked, this.#declared, this.#clock),
    )
  }
}

const none = (): readonly RuleState[] => []
