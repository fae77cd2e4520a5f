// What streams need not keep any longer: raises the floors of their partitions, sweeps, and compacts. In steps that each share a commit with whatever
// else there is to do. Several processes may do it at once: a floor only rises, and by the file's own times and sizes.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { Compaction } from './compaction.ts'
import type { Streams } from './streams.ts'
import type { Trims } from './trims.ts'

/** Rows that one step counts, or passes on its way to the size, in one partition. */
const rowsAtOnce = 1_000

interface Limited {
  readonly id: number
  readonly partitions: number
  readonly max_age_ms: number | null
  readonly max_bytes: number | null
}

interface Row {
  readonly base: number
  readonly count: number
  readonly bytes: number
}

interface Size {
  readonly counted: number
  readonly bytes: number
}

export class Retention {
  readonly #streams: Streams
  readonly #trims: Trims
  readonly #compaction: Compaction
  readonly #limited: StatementSync
  readonly #size: StatementSync
  readonly #setSize: StatementSync
  readonly #rows: StatementSync

  constructor(db: DatabaseSync, streams: Streams, trims: Trims) {
    this.#streams = streams
    this.#trims = trims
    this.#compaction = new Compaction(db, trims)
    this.#limited = db.prepare(
      `SELECT id, partitions, max_age_ms, max_bytes FROM stream
       WHERE max_age_ms IS NOT NULL OR max_bytes IS NOT NULL`,
    )
    this.#size = db.prepare('SELECT counted, bytes FROM stream_size WHERE stream = ? AND partition = ?')
    this.#setSize = db.prepare('INSERT OR REPLACE INTO stream_size VALUES (?, ?, ?, ?)')
    this.#rows = db.prepare(
      `SELECT base, count, octet_length(data) AS bytes FROM stream_batch
       WHERE stream = ? AND partition = ? AND base >= ? ORDER BY base LIMIT ${rowsAtOnce}`,
    )
  }

  /** Looks only. */
  isDue(now: number): boolean {
    if (this.#trims.any || this.#compaction.isDue(now)) return true
    for (const stream of this.#all())
      for (let partition = 0; partition < stream.partitions; partition++) {
        if (this.#byAge(stream, partition, now) > this.#streams.earliest(stream.id, partition)) return true
        if (stream.max_bytes === null) continue
        const size = this.#sizeOf(stream.id, partition)
        if (this.#rows.get(stream.id, partition, size.counted) !== undefined) return true
      }
    return false
  }

  /** One step; whether there is more. */
  step(now: number): boolean {
    let more = false
    for (const stream of this.#all())
      for (let partition = 0; partition < stream.partitions; partition++) {
        this.#streams.raiseFloor(stream.id, partition, this.#byAge(stream, partition, now))
        if (stream.max_bytes !== null && this.#bySize(stream, partition, stream.max_bytes)) more = true
      }
    // One after the other: a step is to be short.
    if (this.#trims.sweep(null) || more) return true
    return this.#compaction.step(now)
  }

  /** The transaction of a step was rolled back. */
  forget(): void {
    this.#compaction.forget()
  }

  #all(): readonly Limited[] {
    return this.#limited.all() as unknown as Limited[]
  }

  #byAge({ id, max_age_ms }: Limited, partition: number, now: number): number {
    return max_age_ms === null ? 0 : this.#streams.positionAt(id, partition, now - max_age_ms)
  }

  /** Counts what came, then lets the oldest rows go; whether there is more to count or to pass. */
  #bySize({ id, partitions }: Limited, partition: number, maxBytes: number): boolean {
    let { counted, bytes } = this.#sizeOf(id, partition)
    const fresh = this.#rows.all(id, partition, counted) as unknown as Row[]
    for (const row of fresh) {
      bytes += row.bytes
      counted = row.base + row.count
    }
    if (fresh.length > 0) this.#setSize.run(id, partition, counted, bytes)
    if (fresh.length === rowsAtOnce) return true
    // What is hidden but not yet swept is counted still.
    let left = bytes
    let floor = 0
    const oldest = this.#rows.all(id, partition, 0) as unknown as Row[]
    for (const row of oldest) {
      left -= row.bytes
      if (left < maxBytes / partitions) break
      floor = row.base + row.count
    }
    return this.#streams.raiseFloor(id, partition, floor) && oldest.length === rowsAtOnce
  }

  #sizeOf(stream: number, partition: number): Size {
    return (this.#size.get(stream, partition) as unknown as Size | undefined) ?? { counted: 0, bytes: 0 }
  }
}
