// The appends of a producer go one after another. Behind one that failed nothing is stored: its producer would have gone past it, and it could
// not be repeated.
export class Turns {
  /** Only while something is under way. */
  readonly #last = new Map<string, Promise<unknown>>()

  take<T>(producer: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(producer)
    const turn = before === undefined ? act() : before.then(act)
    this.#last.set(producer, turn)
    const over = () => {
      if (this.#last.get(producer) === turn) this.#last.delete(producer)
    }
    turn.then(over, over)
    return turn
  }
}
