// The keys with the most cost: who is taken for abusive where no label says it.
import type { Visitor } from '../gathering/requests.ts'

interface Volume {
  readonly key: string
  readonly cost: number
}

export class LargestKeys implements Visitor {
  readonly #most: number
  #found: Volume[] = []
  #key = ''
  #cost = 0

  constructor(most: number) {
    this.#most = most
  }

  begin(key: string): void {
    this.#key = key
    this.#cost = 0
  }

  some(_times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) this.#cost += costs[index]!
  }

  end(): void {
    this.#found.push({ key: this.#key, cost: this.#cost })
    if (this.#found.length >= 2 * this.#most + 1_000) this.#cut()
  }

  get keys(): ReadonlySet<string> {
    this.#cut()
    return new Set(this.#found.map(({ key }) => key))
  }

  /** Of several with the same cost those whose names come first, in whatever order keys come. */
  #cut(): void {
    this.#found.sort((a, b) => b.cost - a.cost || (a.key < b.key ? -1 : 1))
    this.#found = this.#found.slice(0, this.#most)
  }
}
