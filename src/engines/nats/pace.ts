// Which way of storing several messages is the faster one on this server: as one batch, or one behind the other. A server
// that syncs before it answers does so once for a batch; one that does not has only the work of it. It does not say which
// it is, so both are tried, and the slower one again now and then, with few messages.

export type Way = 'batch' | 'each'

const trial = 64
/** Parts until the slower way is tried again. */
const patience = 500

export class Pace {
  /** Milliseconds for a message, by what was seen lately. */
  readonly #cost: Record<Way, number | undefined> = { batch: undefined, each: undefined }
  #parts = 0

  /** The way to go, and how many messages to take along at most. */
  next(): { readonly way: Way; readonly limit: number } {
    const { batch, each } = this.#cost
    // A batch first: where it is slow it is less so than the other can be.
    if (batch === undefined) return { way: 'batch', limit: trial }
    if (each === undefined) return { way: 'each', limit: trial }
    const way = batch <= each ? 'batch' : 'each'
    if (++this.#parts % patience === 0) return { way: way === 'batch' ? 'each' : 'batch', limit: trial }
    return { way, limit: Number.POSITIVE_INFINITY }
  }

  /** What a part took. A few messages tell nothing. */
  note(way: Way, messages: number, ms: number): void {
    if (messages < trial / 4) return
    const cost = ms / messages
    const before = this.#cost[way]
    this.#cost[way] = before === undefined ? cost : 0.8 * before + 0.2 * cost
  }
}
