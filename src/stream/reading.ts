// What is read, as its user iterates it: event by event at the price of one microtask each, or page by page.

/** Begins anew with each iteration, and ends what is under way when the iteration is left. */
export class Reading<T> implements AsyncIterable<T> {
  readonly #begin: () => AsyncGenerator<readonly T[]>

  constructor(begin: () => AsyncGenerator<readonly T[]>) {
    this.#begin = begin
  }

  /** As many events at a time as came together: at least one, at most 1,000. */
  pages(): AsyncGenerator<readonly T[]> {
    return this.#begin()
  }

  /** All of it at once: for what is known to be small. Never resolves for what goes on for ever. */
  async toArray(): Promise<T[]> {
    const all: T[] = []
    for await (const page of this.#begin()) for (const each of page) all.push(each)
    return all
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return new OneByOne(this.#begin())
  }
}

type Result<T> = IteratorResult<T, undefined>

/** Not a generator: those take several microtasks for each value. */
class OneByOne<T> implements AsyncIterator<T, undefined> {
  readonly #pages: AsyncGenerator<readonly T[]>
  #page: readonly T[] = []
  #at = 0
  /** The last call that waits for a page: whoever asks meanwhile comes after it. */
  #turning: Promise<Result<T>> | undefined

  constructor(pages: AsyncGenerator<readonly T[]>) {
    this.#pages = pages
  }

  next(): Promise<Result<T>> {
    if (!this.#turning && this.#at < this.#page.length)
      return Promise.resolve({ done: false, value: this.#page[this.#at++]! })
    const turning = this.#turn(this.#turning).finally(() => {
      if (this.#turning === turning) this.#turning = undefined
    })
    this.#turning = turning
    return turning
  }

  async return(): Promise<Result<T>> {
    this.#page = []
    await this.#pages.return(undefined)
    return { done: true, value: undefined }
  }

  async #turn(before: Promise<unknown> | undefined): Promise<Result<T>> {
    await before
    while (this.#at >= this.#page.length) {
      const turned = await this.#pages.next()
      if (turned.done) return { done: true, value: undefined }
      this.#page = turned.value
      this.#at = 0
    }
    return { done: false, value: this.#page[this.#at++]! }
  }
}
