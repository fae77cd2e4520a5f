// What every key needs at each of many rates: the peak of a virtual queue that is drained at the rate, in one pass.
import type { Visitor } from '../gathering/requests.ts'
import { Tally } from './tally.ts'

export interface NeedsOptions {
  /** In cost per second. */
  readonly rates: readonly number[]
  /** Needs are rounded up to so many steps of a unit of cost. */
  readonly steps: number
  /** Only requests before this time, in microseconds. */
  readonly before?: number
}

/** What floating point may add to a need that is a whole number. */
const tolerance = 1e-9

export class Needs implements Visitor {
  readonly #rates: Float64Array
  /** In which needs are counted, of a unit. */
  readonly steps: number
  readonly #before: number
  readonly #levels: Float64Array
  readonly #peaks: Float64Array
  #last = Number.NaN
  /** One for each rate. */
  readonly tallies: readonly Tally[]

  constructor({ rates, steps, before = Number.POSITIVE_INFINITY }: NeedsOptions) {
    this.#rates = Float64Array.from(rates, (rate) => rate / 1e6)
    this.steps = steps
    this.#before = before
    this.#levels = new Float64Array(rates.length)
    this.#peaks = new Float64Array(rates.length)
    this.tallies = rates.map(() => new Tally())
  }

  begin(): void {
    this.#levels.fill(0)
    this.#peaks.fill(0)
    this.#last = Number.NaN
  }

  some(times: Float64Array, costs: Float64Array, from: number, end: number): void {
    const to = firstAt(times, this.#before, from, end)
    if (to === from) return
    const start = Number.isNaN(this.#last) ? times[from]! : this.#last
    const levels = this.#levels
    const peaks = this.#peaks
    const rates = this.#rates
    for (let each = 0; each < rates.length; each++) {
      const rate = rates[each]!
      let level = levels[each]!
      let peak = peaks[each]!
      let last = start
      for (let index = from; index < to; index++) {
        const time = times[index]!
        level -= rate * (time - last)
        if (level < 0) level = 0
        level += costs[index]!
        if (level > peak) peak = level
        last = time
      }
      levels[each] = level
      peaks[each] = peak
    }
    this.#last = times[to - 1]!
  }

  end(): void {
    if (Number.isNaN(this.#last)) return
    for (let each = 0; each < this.tallies.length; each++) {
      const need = this.#peaks[each]! * this.steps
      this.tallies[each]!.add(Math.ceil(need - tolerance * Math.max(1, need)))
    }
  }

  /** The least capacity with which this share of the keys is never refused, at the rate of this place. */
  enoughFor(rate: number, share: number): number {
    return this.tallies[rate]!.enoughFor(share) / this.steps
  }
}

/** The first place whose time is not before this one. */
export function firstAt(times: Float64Array, time: number, from: number, to: number): number {
  if (to === from || times[to - 1]! < time) return to
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle]! < time) low = middle + 1
    else high = middle
  }
  return low
}
