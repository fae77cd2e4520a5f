// What a rule asks a store for a subject: which bucket, by which algorithm, and how much.
import { type Algorithm, boundOf } from '../../core/bucket/algorithm.ts'
import type { Ban } from '../../core/bucket/ban.ts'
import type { Clock } from '../../core/clock.ts'
import { costOf } from '../cost.ts'
import type { Declared } from '../key.ts'
import { keyText } from '../key-text.ts'
import { type Reads, readsOf } from '../reads.ts'
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { Subject } from '../subject.ts'

/** The bucket of a ban, beside that of the rule. */
export interface BanBucket {
  readonly bucket: string
  readonly algorithm: Ban
}

/** One bucket of a request. */
export interface Asked {
  readonly rule: AskedRule
  readonly bucket: string
  readonly algorithm: Algorithm
  readonly cost: number
  /** Undefined where nobody is banned: without a ban, in shadow, and of the bucket of those that have no value for the key. */
  readonly ban: BanBucket | undefined
}

export class AskedRule {
  readonly checked: CheckedRule
  /** What is held for as long as the work lasts. */
  readonly isHeld: boolean
  allowed = 0
  refused = 0
  /** How many bans this process saw begin. */
  bans = 0
  readonly #clock: Clock
  readonly #reads: Reads
  #endMs = 0

  constructor(checked: CheckedRule, declared: Declared, clock: Clock) {
    this.checked = checked
    this.isHeld = checked.perUs === undefined
    this.#clock = clock
    this.#reads = readsOf(checked, declared)
  }

  /** 'passes': the rule does not bound the subject. */
  ask(subject: Subject): Asked | 'passes' | 'missing' | 'cost' {
    const { on, excepts, keyOf, nobody } = this.#reads
    if (on !== undefined && !on(subject.on)) return 'passes'
    if (excepts?.(subject)) return 'passes'
    const key = keyOf(subject)
    if (key === undefined) return this.checked.missing === 'skip' ? 'passes' : 'missing'
    const algorithm = this.#algorithmOf(subject)
    const cost = costOf(this.checked, subject)
    if (cost > boundOf(algorithm)) return 'cost'
    const { name, ban: algorithmOfBan, shadow } = this.checked
    const ban =
      algorithmOfBan === undefined || shadow || key === nobody
        ? undefined
        : { bucket: keyText([name, key, 'ban']), algorithm: algorithmOfBan }
    // Places and counts are nothing to one another: a rule that now says `atOnce`, or no longer, has other buckets, and whoever ends old work tells the old one.
    const bucket = keyText(this.isHeld ? [name, key, 'held'] : [name, key])
    return { rule: this, bucket, algorithm, cost, ban }
  }

  /** Nobody else's requests count in the subject's bucket. */
  isOwn(subject: Subject): boolean {
    return this.#reads.isOwn(subject)
  }

  #algorithmOf({ plan }: Subject): Algorithm {
    const { bounds } = this.checked
    const { algorithm } = (bounds.length > 1 && bounds.find((bound) => bound.plan === plan)) || bounds[0]
    if (algorithm.kind !== 'calendar-window') return algorithm
    const nowMs = this.#clock.now()
    // Never back: no window that has passed is opened again.
    if (nowMs >= this.#endMs) this.#endMs = this.#reads.ends!(nowMs)
    return { ...algorithm, endUs: this.#endMs * 1_000 }
  }
}
