// What a rule asks a store for a subject: which bucket, by which algorithm, and how much.
import { type Algorithm, boundOf } from '../../core/bucket/algorithm.ts'
import type { Clock } from '../../core/clock.ts'
import { windowEnds } from '../calendar.ts'
import { costOf } from '../cost.ts'
import { matcherOf } from '../endpoint.ts'
import { type Declared, exceptOf, keyReaderOf, type ReadPart, readerOf } from '../key.ts'
import { keyText } from '../key-text.ts'
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { Subject } from '../subject.ts'

/** One bucket of a request. */
export interface Asked {
  readonly rule: AskedRule
  readonly bucket: string
  readonly algorithm: Algorithm
  readonly cost: number
}

export class AskedRule {
  readonly checked: CheckedRule
  /** What is held for as long as the work lasts. */
  readonly isHeld: boolean
  allowed = 0
  refused = 0
  waiting = 0
  readonly #clock: Clock
  readonly #on: ((on: string | undefined) => boolean) | undefined
  readonly #excepts: ((subject: Subject) => boolean) | undefined
  readonly #keyOf: ReadPart
  readonly #own: readonly ReadPart[]
  readonly #ends: ((nowMs: number) => number) | undefined
  #endMs = 0

  constructor(checked: CheckedRule, declared: Declared, clock: Clock) {
    const readers = checked.by.map((part) => readerOf(part, declared))
    this.checked = checked
    this.isHeld = checked.perUs === undefined
    this.#clock = clock
    this.#on = checked.on && matcherOf(checked.on)
    this.#excepts = exceptOf(checked, readers)
    this.#keyOf = keyReaderOf(checked, readers)
    this.#own = readers.filter((_, i) => checked.by[i]!.kind !== 'header')
    this.#ends = checked.calendar && windowEnds(checked.calendar.unit, checked.calendar.timeZone)
  }

  /** 'passes': the rule does not bound the subject. */
  ask(subject: Subject): Asked | 'passes' | 'missing' | 'cost' {
    if (this.#on !== undefined && !this.#on(subject.on)) return 'passes'
    if (this.#excepts?.(subject)) return 'passes'
    const key = this.#keyOf(subject)
    if (key === undefined) return this.checked.missing === 'skip' ? 'passes' : 'missing'
    const algorithm = this.#algorithmOf(subject)
    const cost = costOf(this.checked, subject)
    if (cost > boundOf(algorithm)) return 'cost'
    return { rule: this, bucket: keyText([this.checked.name, key]), algorithm, cost }
  }

  /** Nobody else's requests count in the subject's bucket. */
  isOwn(subject: Subject): boolean {
    return this.#own.some((read) => read(subject) !== undefined)
  }

  #algorithmOf({ plan }: Subject): Algorithm {
    const { bounds } = this.checked
    const { algorithm } = (bounds.length > 1 && bounds.find((bound) => bound.plan === plan)) || bounds[0]
    if (algorithm.kind !== 'calendar-window') return algorithm
    const nowMs = this.#clock.now()
    // Never back: no window that has passed is opened again.
    if (nowMs >= this.#endMs) this.#endMs = this.#ends!(nowMs)
    return { ...algorithm, endUs: this.#endMs * 1_000 }
  }
}
