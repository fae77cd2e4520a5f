// Many delays in little memory: a histogram whose steps grow by two per cent.

const perDoubling = 32

export class Delays {
  /** From a microsecond to longer than anything. */
  readonly #counts = new Float64Array(64 * perDoubling)
  count = 0
  /** In microseconds. */
  longest = 0

  /** In microseconds, above 0. */
  add(delay: number): void {
    const place = Math.min(this.#counts.length - 1, Math.max(0, Math.floor(Math.log2(delay) * perDoubling)))
    this.#counts[place]! += 1
    this.count += 1
    if (delay > this.longest) this.longest = delay
  }

  /** That this share of them does not exceed, in microseconds: too great by two per cent at most. */
  within(share: number): number {
    let left = Math.ceil(share * this.count)
    for (let place = 0; place < this.#counts.length; place++) {
      left -= this.#counts[place]!
      if (left <= 0) return Math.min(this.longest, 2 ** ((place + 1) / perDoubling))
    }
    return this.longest
  }
}
