// Requests in memory: three columns, which grow, and the keys by number. Ordered by key and time when it is asked.
import type { Requests, Visitor } from './requests.ts'
import { sortByTime } from './sort.ts'

const first = 1 << 16
/** What a key takes besides its letters. */
const besides = 40

export class Columns {
  #keys = new Uint32Array(first)
  #times = new Float64Array(first)
  #costs = new Float64Array(first)
  readonly #numbers = new Map<string, number>()
  readonly #names: string[] = []
  length = 0
  /** About as much as the keys take in memory, in bytes of plain text. */
  keyBytes = 0

  add(key: string, time: number, cost: number): void {
    if (this.length === this.#keys.length) this.#grow()
    this.#keys[this.length] = this.#numbers.get(key) ?? this.#number(key)
    this.#times[this.length] = time
    this.#costs[this.length] = cost
    this.length += 1
  }

  /** What was gathered; this is empty then. With `byName` the keys come in that order. */
  take(byName: boolean): Requests {
    const order = this.#names.map((_, index) => index)
    if (byName) order.sort((a, b) => (this.#names[a]! < this.#names[b]! ? -1 : 1))
    const names = order.map((key) => this.#names[key]!)
    const next = this.#starts(order)
    const times = new Float64Array(this.length)
    const costs = new Float64Array(this.length)
    for (let index = 0; index < this.length; index++) {
      const key = this.#keys[index]!
      const place = next[key]!
      next[key] = place + 1
      times[place] = this.#times[index]!
      costs[place] = this.#costs[index]!
    }
    const ends = Uint32Array.from(order, (key) => next[key]!)
    this.#clear()
    ends.forEach((end, key) => {
      sortByTime(times, costs, key === 0 ? 0 : ends[key - 1]!, end)
    })
    return new Ordered(names, ends, times, costs)
  }

  /** Where each key's requests begin. */
  #starts(order: readonly number[]): Uint32Array {
    const counts = new Uint32Array(this.#names.length)
    for (let index = 0; index < this.length; index++) counts[this.#keys[index]!]! += 1
    let place = 0
    for (const key of order) {
      const count = counts[key]!
      counts[key] = place
      place += count
    }
    return counts
  }

  /** A copy: a part of a line would keep the whole piece of the log that it was cut from. */
  #number(key: string): number {
    const copy = Buffer.from(key).toString()
    const number = this.#names.length
    this.#names.push(copy)
    this.#numbers.set(copy, number)
    this.keyBytes += copy.length + besides
    return number
  }

  #grow(): void {
    const { length } = this
    const keys = new Uint32Array(length * 2)
    const times = new Float64Array(length * 2)
    const costs = new Float64Array(length * 2)
    keys.set(this.#keys)
    times.set(this.#times)
    costs.set(this.#costs)
    this.#keys = keys
    this.#times = times
    this.#costs = costs
  }

  #clear(): void {
    this.#keys = new Uint32Array(first)
    this.#times = new Float64Array(first)
    this.#costs = new Float64Array(first)
    this.#numbers.clear()
    this.#names.length = 0
    this.length = 0
    this.keyBytes = 0
  }
}

class Ordered implements Requests {
  readonly #names: readonly string[]
  readonly #ends: Uint32Array
  readonly #times: Float64Array
  readonly #costs: Float64Array

  constructor(names: readonly string[], ends: Uint32Array, times: Float64Array, costs: Float64Array) {
    this.#names = names
    this.#ends = ends
    this.#times = times
    this.#costs = costs
  }

  get keys(): number {
    return this.#names.length
  }

  each(visitor: Visitor): void {
    let from = 0
    for (let key = 0; key < this.#names.length; key++) {
      const to = this.#ends[key]!
      visitor.begin(this.#names[key]!, to - from)
      visitor.some(this.#times, this.#costs, from, to)
      visitor.end()
      from = to
    }
  }

  [Symbol.dispose](): void {}
}
