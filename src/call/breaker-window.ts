// How the calls of the last seconds ended: counts in ten buckets of time, so that what is kept does not grow with the traffic.

/** How many calls ended in the window. A call that failed and took long is counted as both. */
export interface Counts {
  readonly calls: number
  readonly failed: number
  readonly slow: number
}

/** The window slides by a tenth of its length at a time. */
export const buckets = 10

/**
 * The counts of a sliding window of time (as Hystrix' rolling counts, Netflix 2012): a ring of buckets, and their sum kept beside them, so that
 * adding and asking cost the same however many calls there are. A bucket leaves as a whole: the window is between nine and ten tenths long.
 */
export class BreakerWindow implements Counts {
  readonly #bucketMs: number
  readonly #calls = new Float64Array(buckets)
  readonly #failed = new Float64Array(buckets)
  readonly #slow = new Float64Array(buckets)
  /** The bucket that is filled, counted from the beginning of the clock. */
  #newest = Number.NEGATIVE_INFINITY
  calls = 0
  failed = 0
  slow = 0

  constructor(windowMs: number) {
    this.#bucketMs = windowMs / buckets
  }

  /** Counts a call that ended at `nowMs`, of a clock that never steps back. */
  add(nowMs: number, failed: boolean, slow: boolean): void {
    this.slide(nowMs)
    const index = this.#newest % buckets
    this.calls += 1
    this.#calls[index]! += 1
    if (failed) {
      this.failed += 1
      this.#failed[index]! += 1
    }
    if (slow) {
      this.slow += 1
      this.#slow[index]! += 1
    }
  }

  /** Lets go of what is older than the window, also after a long time without calls. */
  slide(nowMs: number): void {
    const newest = Math.floor(nowMs / this.#bucketMs)
    if (newest <= this.#newest) return
    if (newest - this.#newest >= buckets) this.clear()
    else for (let bucket = this.#newest + 1; bucket <= newest; bucket++) this.#empty(bucket % buckets)
    this.#newest = newest
  }

  clear(): void {
    for (const ring of [this.#calls, this.#failed, this.#slow]) ring.fill(0)
    this.calls = 0
    this.failed = 0
    this.slow = 0
  }

  #empty(index: number): void {
    this.calls -= this.#calls[index]!
    this.failed -= this.#failed[index]!
    this.slow -= this.#slow[index]!
    for (const ring of [this.#calls, this.#failed, this.#slow]) ring[index] = 0
  }
}
