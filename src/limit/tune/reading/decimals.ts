// How many digits costs have behind the point: with six at most they are counted in whole parts, and nothing is rounded.

const most = 6

export class Decimals {
  #digits = 0
  #real = false
  total = 0

  add(cost: number): void {
    this.total += cost
    if (this.#real || Number.isInteger(cost)) return
    while (this.#digits <= most) {
      const scale = 10 ** this.#digits
      if (Math.round(cost * scale) / scale === cost) return
      this.#digits += 1
    }
    this.#real = true
  }

  /** How many parts a unit of cost has; undefined where costs are real numbers, or too great to be counted so. */
  get parts(): number | undefined {
    if (this.#real) return undefined
    const parts = 10 ** this.#digits
    return this.total * parts < 2 ** 52 ? parts : undefined
  }

  /** In how many parts of a unit a rule has to count: in millionths, rounded up, where costs are real numbers. */
  get rule(): { readonly parts: number; readonly rounded: boolean } {
    return { parts: 10 ** Math.min(this.#digits, most), rounded: this.#real }
  }
}
