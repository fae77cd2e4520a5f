// Things in the order in which they came, each with a number: added at the end, paged through, taken from anywhere.

interface Entry<T> {
  readonly number: number
  /** Undefined once it was taken; such entries are swept out when they are the larger part. */
  item: T | undefined
}

/** Numbers rise from 1 and are never used again, so that they serve as handles and as the place to go on from. */
export class Numbered<T> {
  #entries: Entry<T>[] = []
  #last = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Its number. */
  add(item: T): number {
    this.#entries.push({ number: ++this.#last, item })
    this.#size++
    return this.#last
  }

  /** The first ones with a number above `after`. */
  page(after: number, limit: number): { readonly number: number; readonly item: T }[] {
    const found: { number: number; item: T }[] = []
    for (let at = this.#firstFrom(after + 1); at < this.#entries.length && found.length < limit; at++) {
      const { number, item } = this.#entries[at]!
      if (item !== undefined) found.push({ number, item })
    }
    return found
  }

  all(): T[] {
    return this.page(0, this.#size).map(({ item }) => item)
  }

  take(number: number): T | undefined {
    const entry = this.#entries[this.#firstFrom(number)]
    if (entry?.number !== number || entry.item === undefined) return undefined
    const { item } = entry
    entry.item = undefined
    this.#size--
    if (this.#entries.length > 2 * this.#size + 16)
      this.#entries = this.#entries.filter((kept) => kept.item !== undefined)
    return item
  }

  #firstFrom(number: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#entries[middle]!.number < number) low = middle + 1
      else high = middle
    }
    return low
  }
}
