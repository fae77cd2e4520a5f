// How far a share would swing if other keys of the same kind had come: a Poisson bootstrap over keys, in one pass and little memory
// (Oza and Russell, Online Bagging and Boosting, 2001). The same traffic gives the same interval each time.

const replicates = 200
const tableSize = 4_096

/** How often a key is drawn: by the first 12 bits of chance, Poisson with mean 1. */
const draws: Uint8Array = (() => {
  const table = new Uint8Array(tableSize)
  let chance = Math.exp(-1)
  let bound = chance
  let times = 0
  for (let place = 0; place < tableSize; place++) {
    while ((place + 0.5) / tableSize > bound) {
      times += 1
      chance /= times
      bound += chance
    }
    table[place] = times
  }
  return table
})()

export class Bootstrap {
  readonly #parts = new Float64Array(replicates)
  readonly #wholes = new Float64Array(replicates)
  #seed = 0x2545f491

  /** One key: a part of a whole. */
  add(part: number, whole: number): void {
    for (let each = 0; each < replicates; each += 2) {
      // xorshift32 of Marsaglia, 2003: two draws of 12 bits from its upper bits.
      let seed = this.#seed
      seed ^= seed << 13
      seed ^= seed >>> 17
      seed ^= seed << 5
      this.#seed = seed
      const first = draws[seed >>> 20]!
      const second = draws[(seed >>> 8) & (tableSize - 1)]!
      this.#parts[each]! += first * part
      this.#wholes[each]! += first * whole
      this.#parts[each + 1]! += second * part
      this.#wholes[each + 1]! += second * whole
    }
  }

  /** In which 95 of 100 of the shares lie. */
  interval(): readonly [number, number] {
    const shares = Array.from(this.#wholes, (whole, each) => (whole === 0 ? 0 : this.#parts[each]! / whole))
    shares.sort((a, b) => a - b)
    return [shares[Math.floor(replicates * 0.025)]!, shares[Math.ceil(replicates * 0.975) - 1]!]
  }
}
