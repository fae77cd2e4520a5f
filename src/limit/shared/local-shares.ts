// What this process allows by itself while the store is away, by rules that are declared so: a share of their bound, counted in its own memory.
import { boundOf } from '../../core/bucket/algorithm.ts'
import { exchange, freshBucket, isForgettable, type SharedBucket } from '../../core/bucket/exchange.ts'
import type { Asked } from './asked-rule.ts'

/** How often is looked for those that count no more. */
const restUs = 1_000_000
/** Keys beyond these are bounded together. */
const mostBuckets = 10_000

export class LocalShares {
  readonly #buckets = new Map<string, SharedBucket>()
  #restedUs = Number.NEGATIVE_INFINITY

  /** All or none. A share of a bound is the whole bound where each unit takes as many more; one request is always allowed that the whole would allow. */
  decide(
    all: readonly { readonly asked: Asked; readonly share: number; readonly inUse: number }[],
    nowUs: number,
  ): boolean {
    const counted: { bucket: SharedBucket; asked: Asked; cost: number }[] = []
    for (const { asked, share, inUse } of all) {
      const bound = boundOf(asked.algorithm)
      if (asked.rule.isHeld) {
        if (inUse + asked.cost > Math.max(1, Math.floor(bound * share))) return false
        continue
      }
      const cost = asked.cost === 0 ? 0 : Math.min(bound, Math.ceil(asked.cost / share))
      const bucket = this.#bucketOf(asked)
      const same = counted.find((one) => one.bucket === bucket)
      if (same) same.cost = Math.min(bound, same.cost + cost)
      else counted.push({ bucket, asked, cost })
    }
    if (counted.length === 0) return true
    const asks = counted.map(({ asked: { algorithm, bucket }, cost }) => ({
      bucket,
      algorithm,
      used: 0,
      cost,
      hold: 0,
    }))
    const request = { holder: 'here', leaseMs: 1, asks }
    return exchange(
      counted.map(({ bucket }) => bucket),
      request,
      nowUs,
    ).allowed
  }

  /**
   * The store is back. What was allowed here is not told to it, and stays counted here for as long as it counts: a store that comes and goes brings no
   * more than one share. `dateUs` is the time of day, by which the windows of calendars pass.
   */
  rest(nowUs: number, dateUs: number): void {
    if (this.#buckets.size === 0 || nowUs < this.#restedUs + restUs) return
    this.#restedUs = nowUs
    for (const [name, bucket] of this.#buckets) {
      const { algorithm } = bucket
      const isOver = algorithm.kind === 'calendar-window' && algorithm.endUs <= dateUs
      if (isOver || isForgettable(bucket, nowUs)) this.#buckets.delete(name)
    }
  }

  #bucketOf({ bucket, algorithm, rule }: Asked): SharedBucket {
    const name =
      this.#buckets.has(bucket) || this.#buckets.size < mostBuckets ? bucket : ` ${rule.checked.name}`
    const kept = this.#buckets.get(name) ?? freshBucket(algorithm)
    this.#buckets.set(name, kept)
    return kept
  }
}
