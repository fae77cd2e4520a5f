// Requests of one key and one time stamp, spread evenly over the time that the stamp may mean: of coarse stamps the
// opposite of all at once.
import type { Visitor } from '../gathering/requests.ts'
import { atOnce } from '../gathering/run-file.ts'

export class Evenly implements Visitor {
  readonly #visitor: Visitor
  readonly #unit: number
  /** Costs of the requests that have the last stamp. */
  #waiting = new Float64Array(64)
  #count = 0
  #stamp = Number.NaN
  readonly #times = new Float64Array(atOnce)
  readonly #costs = new Float64Array(atOnce)
  #filled = 0

  /** `unit` is what stamps are multiples of, in microseconds. */
  constructor(visitor: Visitor, unit: number) {
    this.#visitor = visitor
    this.#unit = unit
  }

  begin(key: string, count: number): void {
    this.#visitor.begin(key, count)
    this.#stamp = Number.NaN
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      if (times[index] !== this.#stamp) this.#spread()
      this.#stamp = times[index]!
      if (this.#count === this.#waiting.length) {
        const longer = new Float64Array(this.#count * 2)
        longer.set(this.#waiting)
        this.#waiting = longer
      }
      this.#waiting[this.#count] = costs[index]!
      this.#count += 1
    }
  }

  end(): void {
    this.#spread()
    this.#handOn()
    this.#visitor.end()
  }

  #spread(): void {
    for (let index = 0; index < this.#count; index++) {
      if (this.#filled === atOnce) this.#handOn()
      this.#times[this.#filled] = this.#stamp + (this.#unit * index) / this.#count
      this.#costs[this.#filled] = this.#waiting[index]!
      this.#filled += 1
    }
    this.#count = 0
  }

  #handOn(): void {
    if (this.#filled > 0) this.#visitor.some(this.#times, this.#costs, 0, this.#filled)
    this.#filled = 0
  }
}
