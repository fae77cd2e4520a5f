// How much a consumer holds beside what it handles: so much that fast handlers claim and settle in large batches and never
// wait for a claim, and that slow ones hoard nothing which another consumer could handle.

/** Work for so long is held: several claims fit into it on every engine. */
const aheadMs = 50
const most = 1_000
/** How much the newest handling counts in the mean. */
const share = 1 / 16

export class Reserve {
  readonly #places: number
  readonly #withinMs: number
  #meanMs: number | undefined
  #stuck = false

  /** `places`: how many messages are handled at once. Nothing is held that would begin later than a third of its lease from now. */
  constructor(places: number, leaseMs: number) {
    this.#places = places
    this.#withinMs = leaseMs / 3
  }

  /** A handler took so long. */
  handled(ms: number): void {
    this.#stuck = false
    this.#meanMs = this.#meanMs === undefined ? ms : this.#meanMs + (ms - this.#meanMs) * share
  }

  /** What was held did not begin in time: nothing more until a handler ends, and little until many were quick again. */
  stuck(): void {
    this.#stuck = true
    this.#meanMs = Math.max(this.#meanMs ?? 0, this.#withinMs)
  }

  /** How many messages to hold. None before the first handler has ended: nobody knows then how long they take. */
  get size(): number {
    if (this.#meanMs === undefined || this.#stuck) return 0
    const perMs = this.#places / Math.max(this.#meanMs, 0.001)
    return Math.floor(Math.min(most, Math.max(this.#places, perMs * aheadMs), perMs * this.#withinMs))
  }
}
