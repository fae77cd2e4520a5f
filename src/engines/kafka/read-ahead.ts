// What was fetched and not yet asked for, by stream, partition and position: a reader asks next for exactly the
// position after what it got. Bounded, but for the slot filled last, however large: those least recently asked for go first.
import type { RecordCursor } from './batch-reader.ts'
import type { Fault } from './errors.ts'

export class Slot {
  readonly stream: string
  readonly partition: number
  readonly position: number
  /** Where to fetch: `position`, or further on when what lies between is known to hold no records. */
  next: number
  /** The end of the partition when last heard of. */
  end = 0
  cursor: RecordCursor | undefined
  bytes = 0
  fetching = false
  fault: Fault | undefined
  failures = 0
  failingSince = 0
  retryAt = 0
  readonly waiters: Set<() => void> = new Set()

  constructor(stream: string, partition: number, position: number) {
    this.stream = stream
    this.partition = partition
    this.position = position
    this.next = position
  }

  /** `forMs`: how long it had been failing by then. */
  failed(fault: Fault, forMs = 0): void {
    const now = Date.now()
    if (this.fault === undefined) this.failingSince = now - forMs
    this.fault = fault
    this.retryAt = now + Math.min(20 * 2 ** this.failures++, 500)
  }

  answered(end: number): void {
    this.fault = undefined
    this.failures = 0
    this.end = end
  }

  wake(): void {
    for (const waiter of [...this.waiters]) waiter()
  }

  /** Whether the broker is known to have records from `next` on. */
  get more(): boolean {
    return this.next < this.end
  }
}

export class ReadAhead {
  readonly #maxBytes: number
  readonly #maxSlots: number
  readonly #slots = new Map<string, Slot>()
  #bytes = 0

  constructor(maxBytes: number, maxSlots: number) {
    this.#maxBytes = maxBytes
    this.#maxSlots = maxSlots
  }

  /** The slot for this position, made if there is none. */
  at(stream: string, partition: number, position: number): Slot {
    const key = slotKey(stream, partition, position)
    const known = this.#slots.get(key)
    const slot = known ?? new Slot(stream, partition, position)
    if (known !== undefined) this.#slots.delete(key)
    this.#slots.set(key, slot)
    return slot
  }

  holds(slot: Slot): boolean {
    return this.#slots.get(slotKey(slot.stream, slot.partition, slot.position)) === slot
  }

  fill(slot: Slot, cursor: RecordCursor): void {
    slot.cursor = cursor
    slot.bytes = cursor.size
    this.#bytes += slot.bytes
    this.#makeRoom(slot)
  }

  /** After records were taken: what is left belongs to `position` now. */
  move(slot: Slot, position: number): Slot {
    this.remove(slot)
    const moved = this.at(slot.stream, slot.partition, position)
    if (moved.cursor !== undefined || moved.fetching) return moved
    moved.next = Math.max(position, slot.next)
    moved.end = slot.end
    if (slot.cursor?.head !== undefined) this.fill(moved, slot.cursor)
    return moved
  }

  /** Drops a slot that has nothing, knows nothing, expects nothing and is not waited for. */
  tidy(slot: Slot): void {
    const empty = slot.cursor === undefined && slot.fault === undefined && slot.next === slot.position
    if (empty && !slot.fetching && slot.waiters.size === 0) this.remove(slot)
  }

  remove(slot: Slot): void {
    if (!this.holds(slot)) return
    this.#slots.delete(slotKey(slot.stream, slot.partition, slot.position))
    if (slot.cursor !== undefined) this.#bytes -= slot.bytes
  }

  #makeRoom(filled: Slot): void {
    if (this.#bytes <= this.#maxBytes && this.#slots.size <= this.#maxSlots) return
    for (const slot of [...this.#slots.values()]) {
      if (this.#bytes <= this.#maxBytes && this.#slots.size <= this.#maxSlots) return
      if (slot.waiters.size === 0 && slot !== filled) this.remove(slot)
    }
  }
}

function slotKey(stream: string, partition: number, position: number): string {
  return `${stream}/${partition}/${position}`
}
