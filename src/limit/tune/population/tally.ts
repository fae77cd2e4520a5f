// How many keys need which capacity. Needs are whole numbers of steps, rounded up.

/** Up to here needs are counted one by one. */
const small = 1_024
/** Beyond so many different larger ones they are rounded up. */
const mostDifferent = 4_096
/** In which each doubling is divided then. */
const parts = 1_024

export class Tally {
  readonly #small = new Uint32Array(small + 1)
  /** Undefined once they are rounded. */
  #large: Map<number, number> | undefined = new Map()
  /** Rounded ones, by doublings of `small`. */
  readonly #doublings: (Uint32Array | undefined)[] = []
  #sorted: readonly number[] | undefined
  keys = 0

  add(need: number): void {
    this.keys += 1
    if (need <= small) this.#small[need]! += 1
    else if (this.#large === undefined) this.#addRounded(need, 1)
    else {
      this.#sorted = undefined
      this.#large.set(need, (this.#large.get(need) ?? 0) + 1)
      if (this.#large.size > mostDifferent) this.#round(this.#large)
    }
  }

  /** The least capacity that is enough for this share of the keys; 0 without keys. */
  enoughFor(share: number): number {
    return this.ofRank(Math.ceil(share * this.keys - 1e-9))
  }

  /** The need of the key at this place, from 1, when they are in order. */
  ofRank(rank: number): number {
    let left = Math.min(Math.max(rank, 1), this.keys)
    for (let need = 0; need <= small; need++) {
      left -= this.#small[need]!
      if (left <= 0) return need
    }
    if (this.#large !== undefined) {
      this.#sorted ??= [...this.#large.keys()].sort((a, b) => a - b)
      for (const need of this.#sorted) {
        left -= this.#large.get(need)!
        if (left <= 0) return need
      }
    }
    for (const [doubling, counts] of this.#doublings.entries())
      for (let part = 0; counts !== undefined && part < parts; part++) {
        left -= counts[part]!
        if (left <= 0) return (parts + part + 1) * 2 ** doubling
      }
    return 0
  }

  #round(exact: ReadonlyMap<number, number>): void {
    this.#large = undefined
    for (const [need, count] of exact) this.#addRounded(need, count)
  }

  /** Up, by less than a thousandth. */
  #addRounded(need: number, count: number): void {
    const place = placeOf(need)
    const doubling = Math.floor(place / parts)
    let counts = this.#doublings[doubling]
    if (counts === undefined) {
      counts = new Uint32Array(parts)
      this.#doublings[doubling] = counts
    }
    counts[place % parts]! += count
  }
}

/** Among all parts of all doublings. */
function placeOf(need: number): number {
  if (need <= 2 ** 31) {
    const doubling = 21 - Math.clz32(need - 1)
    return (doubling - 1) * parts + ((need - 1) >> doubling)
  }
  // Where the logarithm is rounded it is the last part of the doubling below, or the first of the one above.
  const doubling = Math.ceil(Math.log2(need / (2 * parts)))
  return (doubling - 1) * parts + Math.ceil(need / 2 ** doubling) - 1
}
