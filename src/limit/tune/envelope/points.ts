// Points (x, y) in a growing pair of typed arrays, used as a stack.

export class Points {
  x: Float64Array = new Float64Array(64)
  y: Float64Array = new Float64Array(64)
  length = 0

  add(x: number, y: number): void {
    if (this.length === this.x.length) this.#grow()
    this.x[this.length] = x
    this.y[this.length] = y
    this.length += 1
  }

  /** The points from `from` on are replaced by those of another. */
  replaceFrom(from: number, other: Points): void {
    while (this.x.length < from + other.length) this.#grow()
    this.x.set(other.x.subarray(0, other.length), from)
    this.y.set(other.y.subarray(0, other.length), from)
    this.length = from + other.length
  }

  #grow(): void {
    const { x, y } = this
    this.x = new Float64Array(x.length * 2)
    this.y = new Float64Array(y.length * 2)
    this.x.set(x)
    this.y.set(y)
  }
}
