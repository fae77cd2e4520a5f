// The records of one partition in memory, in the order of their positions.
import type { StreamRecord } from '../../ports/stream.ts'

export class Records {
  all: StreamRecord[] = []
  /** The position of the record that comes next. */
  next = 0
  /** Of their bodies. */
  #bytes = 0

  get earliest(): number {
    return this.all[0]?.position ?? this.next
  }

  add(record: StreamRecord): void {
    this.all.push(record)
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

  #take(count: number): StreamRecord[] {
    if (count === 0) return []
    const taken = this.all.splice(0, count)
    for (const { body } of taken) this.#bytes -= Buffer.byteLength(body)
    return taken
  }
}
