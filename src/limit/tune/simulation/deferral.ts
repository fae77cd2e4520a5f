// What does not fit waits for its tokens, in a line for each key, instead of being refused: how long the lines and the delays become.
import type { Visitor } from '../gathering/requests.ts'
import { Delays } from './delays.ts'

export class Deferral implements Visitor {
  readonly #perMicro: number
  readonly #capacities: readonly number[]
  #level = 0
  #last = Number.NaN
  /** For each capacity. */
  readonly delays: readonly Delays[]
  /** The most cost in line of one key, for each capacity. */
  readonly depths: Float64Array

  /** `rate` in cost per second, above 0; capacities rise. */
  constructor(rate: number, capacities: readonly number[]) {
    this.#perMicro = rate / 1e6
    this.#capacities = capacities
    this.delays = capacities.map(() => new Delays())
    this.depths = new Float64Array(capacities.length)
  }

  begin(): void {
    this.#level = 0
    this.#last = Number.NaN
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const time = times[index]!
      if (!Number.isNaN(this.#last))
        this.#level = Math.max(0, this.#level - this.#perMicro * (time - this.#last))
      this.#level += costs[index]!
      this.#last = time
      this.#wait()
    }
  }

  end(): void {}

  #wait(): void {
    for (let each = 0; each < this.#capacities.length; each++) {
      const over = this.#level - this.#capacities[each]!
      // Larger capacities are not exceeded either.
      if (over <= 1e-9 * Math.max(1, this.#level)) return
      this.delays[each]!.add(over / this.#perMicro)
      if (over > this.depths[each]!) this.depths[each] = over
    }
  }
}
