// One append or send on its way: resolved when all of it is stored, rejected when some of it cannot be.
export class WriteCall {
  /** Of records, by their places in the call. */
  readonly positions: number[]
  readonly done: Promise<void>
  /** When nobody waits for it any more, by `performance.now()`. */
  readonly failAt: number
  /** It has ended: what is left of it need not be stored. */
  settled = false
  #left: number
  readonly #resolvers = Promise.withResolvers<void>()

  constructor(parts: number, failAt: number) {
    this.positions = []
    this.failAt = failAt
    this.#left = parts
    this.done = this.#resolvers.promise
  }

  stored(index: number, position: number): void {
    this.positions[index] = position
    this.storedPart()
  }

  storedPart(): void {
    if (--this.#left > 0 || this.settled) return
    this.settled = true
    this.#resolvers.resolve()
  }

  fail(error: unknown): void {
    if (this.settled) return
    this.settled = true
    this.#resolvers.reject(error)
  }
}
