// The keys that need the largest buckets at a rate, each with the interval that makes it so.
import type { Visitor } from '../gathering/requests.ts'

export interface Forcing {
  readonly key: string
  readonly requests: number
  readonly need: number
  /** Microseconds since 1970: the first and the last request of the interval. */
  readonly from: number
  readonly to: number
  readonly requestsWithin: number
  readonly costWithin: number
}

const most = 10

export class ForcingKeys implements Visitor {
  readonly #perMicro: number
  #key = ''
  #requests = 0
  #level = 0
  #last = Number.NaN
  #start = 0
  #count = 0
  #cost = 0
  #worst: Omit<Forcing, 'key' | 'requests'> | undefined
  /** The neediest first. */
  readonly found: Forcing[] = []

  /** In cost per second. */
  constructor(rate: number) {
    this.#perMicro = rate / 1e6
  }

  begin(key: string, count: number): void {
    this.#key = key
    this.#requests = count
    this.#level = 0
    this.#last = Number.NaN
    this.#worst = undefined
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    let peak = this.#worst?.need ?? -1
    for (let index = from; index < to; index++) {
      const time = times[index]!
      this.#level -= this.#perMicro * (time - this.#last)
      if (!(this.#level > 0)) {
        this.#level = 0
        this.#start = time
        this.#count = 0
        this.#cost = 0
      }
      this.#last = time
      this.#level += costs[index]!
      this.#count += 1
      this.#cost += costs[index]!
      if (this.#level <= peak) continue
      peak = this.#level
      this.#worst = {
        need: peak,
        from: this.#start,
        to: time,
        requestsWithin: this.#count,
        costWithin: this.#cost,
      }
    }
  }

  end(): void {
    const { found } = this
    const worst = this.#worst
    if (!worst || (found.length === most && worst.need <= found.at(-1)!.need)) return
    found.push({ key: this.#key, requests: this.#requests, ...worst })
    found.sort((a, b) => b.need - a.need || (a.key < b.key ? -1 : 1))
    if (found.length > most) found.pop()
  }
}
