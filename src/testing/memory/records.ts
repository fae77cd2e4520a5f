// The records of one partition in memory, in the order of their positions.
import type { StreamRecord } from '../../ports/stream.ts'

/** Less is not worth a compaction. */
const fewest = 64

export class Records {
  all: StreamRecord[] = []
  /** The position of the record that comes next. */
  next = 0
  /** Below it everything was removed; above it only by compaction. */
  trimmed = 0
  /** Of their bodies. */
  #bytes = 0
  /** Those that say of their key that there is nothing more. */
  readonly #tombstones = new Set<StreamRecord>()
  /** Appended since the last compaction. */
  #fresh = 0

  get earliest(): number {
    return this.all[0]?.position ?? this.next
  }

  add(record: StreamRecord, tombstone: boolean): void {
    this.all.push(record)
    this.#fresh += 1
    if (tombstone) this.#tombstones.add(record)
    this.next = record.position + 1
    this.#bytes += Buffer.byteLength(record.body)
  }

  /** The index of the first record at or after a position. */
  from(position: number): number {
    return this.first((record) => record.position >= position)
  }

  /** The index of the first record for which this holds, as it does for all behind it; by halving. */
  first(holds: (record: StreamRecord) => boolean): number {
    let low = 0
    let high = this.all.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (holds(this.all[middle]!)) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Takes out what is below a position, and gives it back. */
  trim(below: number): StreamRecord[] {
    return this.#take(this.from(below))
  }

  /** The same with what was appended before a time. */
  olderThan(time: number): StreamRecord[] {
    return this.#take(this.first(({ appendedAt }) => appendedAt >= time))
  }

  /** The same with the oldest, as long as so many bytes are left. */
  beyond(bytes: number): StreamRecord[] {
    let left = this.#bytes
    let count = 0
    for (const { body } of this.all) {
      left -= Buffer.byteLength(body)
      if (left < bytes) break
      count += 1
    }
    return this.#take(count)
  }

  /**
   * Takes out those that a later one of their key stands behind, and tombstones that were appended before a time, but for the last record; as often
   * as it is worth it: when as much has come as was left the last time.
   */
  compact(before: number): StreamRecord[] {
    if (this.#fresh < Math.max(fewest, this.all.length / 2)) return []
    const last = new Map<string | undefined, StreamRecord>()
    for (const record of this.all) last.set(record.key, record)
    const end = this.all.at(-1)
    const stays = (record: StreamRecord) =>
      record === end ||
      record.key === undefined ||
      (last.get(record.key) === record && !(this.#tombstones.has(record) && record.appendedAt < before))
    const taken = this.all.filter((record) => !stays(record))
    this.all = this.all.filter(stays)
    this.#lose(taken)
    this.#fresh = 0
    return taken
  }

  #take(count: number): StreamRecord[] {
    if (count === 0) return []
    const taken = this.all.splice(0, count)
    this.trimmed = taken.at(-1)!.position + 1
    this.#lose(taken)
    return taken
  }

  #lose(taken: readonly StreamRecord[]): void {
    for (const record of taken) {
      this.#bytes -= Buffer.byteLength(record.body)
      this.#tombstones.delete(record)
    }
  }
}
