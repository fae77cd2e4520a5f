// The first look at all requests: who is the busiest, and how busy a key gets within a second.
import type { Visitor } from './gathering/requests.ts'

export interface KeyTotals {
  readonly key: string
  readonly requests: number
  readonly cost: number
}

const second = 1_000_000

export class Survey implements Visitor {
  #key = ''
  #requests = 0
  #cost = 0
  #second = 0
  #inSecond = 0
  /** The key with the most cost; of several the first. */
  busiest: KeyTotals | undefined
  /** The most cost of one request: of all, and of the busiest key. */
  dearest = 0
  dearestOfBusiest = 0
  #dearest = 0
  /** The most cost of one key in a second of the clock. */
  busiestSecond = 0

  begin(key: string, count: number): void {
    this.#key = key
    this.#requests = count
    this.#cost = 0
    this.#dearest = 0
    this.#inSecond = 0
    this.#second = Number.NaN
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const cost = costs[index]!
      const within = Math.floor(times[index]! / second)
      this.#cost += cost
      if (cost > this.#dearest) this.#dearest = cost
      this.#inSecond = within === this.#second ? this.#inSecond + cost : cost
      this.#second = within
      if (this.#inSecond > this.busiestSecond) this.busiestSecond = this.#inSecond
    }
  }

  end(): void {
    const { busiest } = this
    const first =
      busiest === undefined ||
      this.#cost > busiest.cost ||
      // In whatever order keys come.
      (this.#cost === busiest.cost && this.#key < busiest.key)
    if (this.#dearest > this.dearest) this.dearest = this.#dearest
    if (!first) return
    this.busiest = { key: this.#key, requests: this.#requests, cost: this.#cost }
    this.dearestOfBusiest = this.#dearest
  }
}
