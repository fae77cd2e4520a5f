// Batches that are read piece by piece stay in memory, so that small claims and small reads do not load them each time.
import { offsetsOf } from '../record.ts'

export interface CachedBatch {
  readonly data: Uint8Array
  /** Where each record starts, and where the last one stops. */
  readonly offsets: Uint32Array
}

/** `Key` names a batch for ever: what it names never changes. */
export class BatchCache<Key> {
  readonly #batches = new Map<Key, CachedBatch>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(id: Key, count: number, load: () => Uint8Array): CachedBatch {
    const known = this.#batches.get(id)
    if (known !== undefined) {
      if (this.#batches.size > 1) {
        this.#batches.delete(id)
        this.#batches.set(id, known)
      }
      return known
    }
    const data = load()
    const batch = { data, offsets: offsetsOf(data, count) }
    this.#batches.set(id, batch)
    this.#bytes += data.length
    for (const [oldest, old] of this.#batches) {
      if (this.#bytes <= this.#maxBytes || oldest === id) break
      this.#batches.delete(oldest)
      this.#bytes -= old.data.length
    }
    return batch
  }

  clear(): void {
    this.#batches.clear()
    this.#bytes = 0
  }
}
