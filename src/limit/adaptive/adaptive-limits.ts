// The numbers of one adaptive rule: each key has its own, so that one's slow work takes nothing from another.
import type { Concurrency } from '../../core/bucket/concurrency.ts'
import type { WorkEnd } from '../decision.ts'
import { keyText } from '../key-text.ts'
import { type AdaptiveBounds, AdaptiveLimit } from './adaptive-limit.ts'

/** Those beyond share one number. */
const mostKeys = 10_000
/** Who has done nothing for so long may begin anew. */
const staleUs = 60_000_000

export class AdaptiveLimits {
  #bounds: AdaptiveBounds
  readonly #byKey = new Map<string, AdaptiveLimit>()
  #others: AdaptiveLimit | undefined
  #sweptUs = Number.NEGATIVE_INFINITY

  constructor(bounds: AdaptiveBounds) {
    this.#bounds = bounds
  }

  goBy(bounds: AdaptiveBounds): void {
    this.#bounds = bounds
    for (const each of this.#byKey.values()) each.goBy(bounds)
    this.#others?.goBy(bounds)
  }

  /** The bound of a key at the moment. */
  boundOf(key: string): Concurrency {
    const limit = (this.#byKey.get(keyText([key])) ?? this.#others)?.limit ?? this.#bounds.from
    return { kind: 'concurrency', limit }
  }

  /** Whether the number can ever be so large. */
  reaches(cost: number): boolean {
    return cost <= this.#bounds.upTo
  }

  end(key: string, beganUs: number, nowUs: number, atWork: number, how: WorkEnd): void {
    this.#of(keyText([key]), nowUs).end(beganUs, nowUs, atWork, how)
  }

  /** The smallest of all. */
  get smallest(): number {
    let smallest = this.#others?.limit ?? this.#bounds.upTo
    for (const { limit } of this.#byKey.values()) smallest = Math.min(smallest, limit)
    return this.#byKey.size === 0 && this.#others === undefined ? this.#bounds.from : smallest
  }

  #of(key: string, nowUs: number): AdaptiveLimit {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    if (this.#byKey.size >= mostKeys && nowUs - this.#sweptUs >= staleUs / 60) {
      this.#sweptUs = nowUs
      for (const [each, { lastUs }] of this.#byKey) if (nowUs - lastUs >= staleUs) this.#byKey.delete(each)
      // Who comes now begins by himself.
      if (this.#byKey.size < mostKeys) this.#others = undefined
    }
    if (this.#byKey.size >= mostKeys) {
      this.#others ??= new AdaptiveLimit(this.#bounds)
      return this.#others
    }
    const made = new AdaptiveLimit(this.#bounds)
    this.#byKey.set(key, made)
    return made
  }
}
