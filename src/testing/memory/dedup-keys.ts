// The deduplication keys of one queue: each is held while its message is in the queue, and for its time.
import { Heap, type Placed } from './heap.ts'
import type { Capacity } from './limits.ts'

export interface HeldKey extends Placed {
  readonly key: string
  /** Of the message that holds it. */
  readonly id: string
  /** Until when it is held whatever becomes of the message; 0 for no such time. */
  readonly until: number
  /** Its message is in the queue. */
  inQueue: boolean
  /** Its message is gone for good, and the key keeps the room of it: what is remembered is bounded too. */
  alone: boolean
}

export class DedupKeys {
  readonly #capacity: Capacity
  readonly #held = new Map<string, HeldKey>()
  /** Those that only time holds. */
  readonly #ending = new Heap<HeldKey>((a, b) => a.until < b.until)

  constructor(capacity: Capacity) {
    this.#capacity = capacity
  }

  /** The id of the message that has the key. */
  holder(key: string): string | undefined {
    return this.#held.get(key)?.id
  }

  hold(key: string, id: string, until: number): HeldKey {
    const held = { key, id, until, inQueue: true, alone: false, place: 0 }
    this.#held.set(key, held)
    return held
  }

  /** The message left the queue, perhaps to the dead letters. */
  leave(held: HeldKey): void {
    if (!held.inQueue) return
    held.inQueue = false
    this.#ending.add(held)
  }

  /** The message, which left before, is gone for good: its room is free as soon as the key is. */
  forget(held: HeldKey): void {
    if (this.#held.get(held.key) === held) held.alone = true
    else this.#capacity.free(1)
  }

  /** Lets go of the keys whose time is over. */
  expire(now: number): void {
    for (let first = this.#ending.first(); first !== undefined && first.until <= now; ) {
      this.#ending.remove(first)
      this.#held.delete(first.key)
      if (first.alone) this.#capacity.free(1)
      first = this.#ending.first()
    }
  }
}
