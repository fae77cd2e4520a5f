// Real token buckets over the recorded requests, one for each key, full at first: what does not fit is refused and not charged.
import type { Visitor } from '../gathering/requests.ts'
import { firstAt } from '../population/needs.ts'

export interface Bucket {
  /** In cost per second. */
  readonly rate: number
  readonly capacity: number
}

export interface BucketsOptions {
  readonly buckets: readonly Bucket[]
  /** Only requests from this time on, and before that one, in microseconds. */
  readonly from?: number
  readonly before?: number
  /** Told of every key that has requests in this time, of the first bucket. */
  readonly onKey?: (refused: number, requests: number) => void
}

export interface Outcome {
  refused: number
  refusedKeys: number
}

/** A request fits when it is too large by no more than what floating point may have added. */
const tolerance = 1e-9

export class Buckets implements Visitor {
  readonly #options: BucketsOptions
  readonly #levels: Float64Array
  readonly #refused: Float64Array
  #last = Number.NaN
  #requests = 0
  requests = 0
  keys = 0
  readonly outcomes: readonly Outcome[]

  constructor(options: BucketsOptions) {
    this.#options = options
    this.#levels = new Float64Array(options.buckets.length)
    this.#refused = new Float64Array(options.buckets.length)
    this.outcomes = options.buckets.map(() => ({ refused: 0, refusedKeys: 0 }))
  }

  begin(): void {
    this.#levels.fill(0)
    this.#refused.fill(0)
    this.#last = Number.NaN
    this.#requests = 0
  }

  some(times: Float64Array, costs: Float64Array, start: number, end: number): void {
    const { buckets, from: since, before } = this.#options
    const from = since === undefined ? start : firstAt(times, since, start, end)
    const to = before === undefined ? end : firstAt(times, before, from, end)
    if (from === to) return
    const first = Number.isNaN(this.#last) ? times[from]! : this.#last
    for (let each = 0; each < buckets.length; each++) {
      const { rate, capacity } = buckets[each]!
      const perMicro = rate / 1e6
      const most = capacity + tolerance * Math.max(1, capacity)
      let level = this.#levels[each]!
      let refused = 0
      let last = first
      for (let index = from; index < to; index++) {
        const time = times[index]!
        level -= perMicro * (time - last)
        if (level < 0) level = 0
        const filled = level + costs[index]!
        if (filled <= most) level = filled
        else refused += 1
        last = time
      }
      this.#levels[each] = level
      this.#refused[each]! += refused
    }
    this.#last = times[to - 1]!
    this.#requests += to - from
  }

  end(): void {
    if (this.#requests === 0) return
    this.requests += this.#requests
    this.keys += 1
    this.outcomes.forEach((outcome, each) => {
      const refused = this.#refused[each]!
      if (refused === 0) return
      outcome.refused += refused
      outcome.refusedKeys += 1
    })
    this.#options.onKey?.(this.#refused[0] ?? 0, this.#requests)
  }
}
