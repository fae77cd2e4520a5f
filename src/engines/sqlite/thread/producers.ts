// The last sequence of each producer, in the transaction of its records.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Producer, producerKeptMs } from '../../../ports/producer.ts'
import type { Duplicate } from '../wire.ts'

/** As many more than come: so the table shrinks again. */
const forgottenAtOnce = 10

export class Producers {
  readonly #last: StatementSync
  readonly #store: StatementSync
  readonly #forget: StatementSync

  constructor(db: DatabaseSync) {
    this.#last = db.prepare('SELECT sequence FROM stream_producer WHERE stream = ? AND producer = ?')
    this.#store = db.prepare('INSERT OR REPLACE INTO stream_producer VALUES (?, ?, ?, ?)')
    this.#forget = db.prepare(
      `DELETE FROM stream_producer WHERE (stream, producer) IN (
         SELECT stream, producer FROM stream_producer WHERE at < ? ORDER BY at LIMIT ${forgottenAtOnce})`,
    )
  }

  duplicate(stream: number, producer: Producer | null): Duplicate | undefined {
    const row = producer === null ? undefined : this.#last.get(stream, producer.id)
    if (row === undefined || producer!.sequence > Number(row.sequence)) return undefined
    return { sequence: Number(row.sequence) }
  }

  store(stream: number, producer: Producer | null, now: number): void {
    if (producer === null) return
    this.#forget.run(now - producerKeptMs)
    this.#store.run(stream, producer.id, producer.sequence, now)
  }
}
