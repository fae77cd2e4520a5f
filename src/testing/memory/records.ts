// The records of one partition in memory, in the order of their positions.
import type { StreamRecord } from '../../ports/stream.ts'

export class Records {
  all: StreamRecord[] = []
  /** The position of the record that comes next. */
  next = 0

  get earliest(): number {
    return this.all[0]?.position ?? this.next
  }

  add(record: StreamRecord): void {
    this.all.push(record)
    this.next = record.position + 1
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
    return this.all.splice(0, this.from(below))
  }
}
