// Removes what was trimmed: rows whose records are all below the floor of their partition. In steps, each in a
// transaction with whatever else there is to do; what a crash leaves behind is removed by the next one who sweeps.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { RecordReader } from '../record.ts'

/** What one step removes, about: freeing the pages of a row costs as much as writing it. */
const bytesAtOnce = 4 * 1024 * 1024
const rowsAtOnce = 500
/** Each key has a row of its own for every version. */
const versionsAtOnce = 5_000

interface Row {
  readonly id: number
  readonly stream: number
  readonly partition: number
  readonly base: number
  readonly bytes: number
  readonly versions: string | null
}

export class Trims {
  readonly #hidden: StatementSync
  readonly #data: StatementSync
  readonly #delete: StatementSync
  readonly #deleteVersion: StatementSync
  readonly #shrink: StatementSync
  readonly #reader = new RecordReader()

  constructor(db: DatabaseSync) {
    this.#hidden = db.prepare(
      `SELECT b.id, b.stream, b.partition, b.base, b.versions, octet_length(b.data) AS bytes FROM stream_floor AS f
       JOIN stream_batch AS b ON b.stream = f.stream AND b.partition = f.partition
         AND b.base < f.position AND b.base + b.count <= f.position
       WHERE f.stream = coalesce(?, f.stream) LIMIT ${rowsAtOnce}`,
    )
    this.#shrink = db.prepare(
      'UPDATE stream_size SET bytes = bytes - ? WHERE stream = ? AND partition = ? AND counted > ?',
    )
    this.#data = db.prepare('SELECT data FROM stream_batch WHERE id = ?')
    this.#delete = db.prepare('DELETE FROM stream_batch WHERE id = ?')
    // The last one of a key stays: the next one counts on from it. Then it goes with the next one that goes.
    this.#deleteVersion = db.prepare(
      `DELETE FROM stream_version WHERE stream = ?1 AND key = ?2 AND version <= ?3 AND partition = ?4
       AND version < (SELECT max(version) FROM stream_version WHERE stream = ?1 AND key = ?2)`,
    )
  }

  /** Whether anything is left to sweep, of any stream. */
  get any(): boolean {
    return this.#hidden.get(null) !== undefined
  }

  /** One step, in one stream or in all; whether there is more. */
  sweep(stream: number | null): boolean {
    let bytes = 0
    let versions = 0
    const rows = this.#hidden.all(stream) as unknown as Row[]
    for (const row of rows) {
      if (bytes >= bytesAtOnce || versions >= versionsAtOnce) return true
      if (row.versions !== null) versions += this.#forgetVersions(row)
      this.#delete.run(row.id)
      this.#shrink.run(row.bytes, row.stream, row.partition, row.base)
      bytes += row.bytes
    }
    return rows.length === rowsAtOnce
  }

  /** A record went, and with it those of its key before it in its partition. The last one of a key is known on. */
  forgetVersion(stream: number, partition: number, key: string, version: number): void {
    this.#deleteVersion.run(stream, key, version, partition)
  }

  #forgetVersions({ id, stream, partition, versions }: Row): number {
    const numbers = JSON.parse(versions!) as (number | null)[]
    this.#reader.start(this.#data.get(id)!.data as Uint8Array)
    for (const version of numbers) {
      const key = this.#reader.next((_id, name) => name)
      if (version !== null) this.forgetVersion(stream, partition, key!, version)
    }
    return numbers.length
  }
}
