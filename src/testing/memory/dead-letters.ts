// The dead letters of one queue in the order of their deaths: added at the end, paged through, taken from anywhere.

interface Entry<T> {
  readonly number: number
  /** Undefined once it was taken; such entries are swept out when they are the larger part. */
  letter: T | undefined
}

/** Numbers rise from 1 and are never used again, so that they serve as handles and as the place to go on from. */
export class DeadLetters<T> {
  #entries: Entry<T>[] = []
  #last = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  add(letter: T): void {
    this.#entries.push({ number: ++this.#last, letter })
    this.#size++
  }

  /** The first ones with a number above `after`. */
  page(after: number, limit: number): { readonly number: number; readonly letter: T }[] {
    const found: { number: number; letter: T }[] = []
    for (let at = this.#firstFrom(after + 1); at < this.#entries.length && found.length < limit; at++) {
      const { number, letter } = this.#entries[at]!
      if (letter !== undefined) found.push({ number, letter })
    }
    return found
  }

  take(number: number): T | undefined {
    const entry = this.#entries[this.#firstFrom(number)]
    if (entry?.number !== number || entry.letter === undefined) return undefined
    const { letter } = entry
    entry.letter = undefined
    this.#size--
    if (this.#entries.length > 2 * this.#size + 16)
      this.#entries = this.#entries.filter((kept) => kept.letter !== undefined)
    return letter
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
