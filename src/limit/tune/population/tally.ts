// How many keys need which capacity. Needs are whole numbers of steps, rounded up.

/** Small needs are counted in an array. */
const small = 1_024
/** Beyond so many different ones they are rounded up. */
const mostDifferent = 65_536
const rounding = 1_024

export class Tally {
  readonly #small = new Uint32Array(small)
  #large = new Map<number, number>()
  #coarse = false
  #sorted: readonly number[] | undefined
  keys = 0

  add(need: number): void {
    this.keys += 1
    this.#sorted = undefined
    if (need < small) {
      this.#small[need]! += 1
      return
    }
    const counted = this.#coarse ? roundedUp(need) : need
    this.#large.set(counted, (this.#large.get(counted) ?? 0) + 1)
    if (!this.#coarse && this.#large.size > mostDifferent) this.#round()
  }

  /** The least capacity that is enough for this share of the keys; 0 without keys. */
  enoughFor(share: number): number {
    return this.ofRank(Math.ceil(share * this.keys - 1e-9))
  }

  /** The need of the key at this place, from 1, when they are in order. */
  ofRank(rank: number): number {
    let left = Math.min(Math.max(rank, 1), this.keys)
    for (let need = 0; need < small; need++) {
      left -= this.#small[need]!
      if (left <= 0) return need
    }
    this.#sorted ??= [...this.#large.keys()].sort((a, b) => a - b)
    for (const need of this.#sorted) {
      left -= this.#large.get(need)!
      if (left <= 0) return need
    }
    return 0
  }

  #round(): void {
    const exact = this.#large
    this.#large = new Map()
    this.#coarse = true
    for (const [need, count] of exact) {
      const counted = roundedUp(need)
      this.#large.set(counted, (this.#large.get(counted) ?? 0) + count)
    }
  }
}

/** By less than a thousandth. */
function roundedUp(need: number): number {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(need / rounding / 2)))
  return Math.ceil(need / step) * step
}
