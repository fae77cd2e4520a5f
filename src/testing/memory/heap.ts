// A binary heap whose items know their place in it, so that one can leave from the middle in O(log n).

export interface Placed {
  /** Where the item stands in the heap that holds it; kept by the heap. An item is in one heap at a time. */
  place: number
}

export class Heap<T extends Placed> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  first(): T | undefined {
    return this.#items[0]
  }

  add(item: T): void {
    this.#items.push(item)
    this.#up(item, this.#items.length - 1)
  }

  shift(): T | undefined {
    const first = this.#items[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  /** The item must be in this heap. */
  remove(item: T): void {
    const last = this.#items.pop()!
    if (last === item) return
    this.#down(last, item.place)
    this.#up(last, last.place)
  }

  #up(item: T, from: number): void {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#items[above]!
      if (!this.#before(item, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(item, place)
  }

  #down(item: T, from: number): void {
    const { length } = this.#items
    let place = from
    for (;;) {
      let below = place * 2 + 1
      if (below >= length) break
      if (below + 1 < length && this.#before(this.#items[below + 1]!, this.#items[below]!)) below++
      const child = this.#items[below]!
      if (!this.#before(child, item)) break
      this.#put(child, place)
      place = below
    }
    this.#put(item, place)
  }

  #put(item: T, place: number): void {
    this.#items[place] = item
    item.place = place
  }
}
