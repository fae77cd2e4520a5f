// The outbox in a service's SQLite file, as its relay sees it. Writers are serial here, so the order of rows is the
// order of commits, and a row's key can be its sequence.
import { newId } from '../../core/id.ts'
import type { AsideRow, Destination, OutboxPort, OutboxRow } from '../../ports/database.ts'
import type { SqliteHandle, SqliteStatement } from './handle.ts'
import { maxBodyBytes } from './limits.ts'

/** No lock is asked for that is longer. */
const longestLeaseMs = 600_000

type Write = <T>(durable: boolean, work: () => T) => Promise<T>

const sqlOf = (prefix: string) => ({
  producer: `SELECT producer_id AS producerId FROM "${prefix}relay"`,
  addProducer: `INSERT INTO "${prefix}relay" (producer_id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM "${prefix}relay")`,
  // One that lasts longer than any: the clock was set back since.
  lock: `UPDATE "${prefix}relay" SET holder = ?, locked_until = ?
    WHERE holder IS NULL OR holder = ? OR locked_until NOT BETWEEN ? AND ?`,
  unlock: `UPDATE "${prefix}relay" SET holder = NULL, locked_until = 0 WHERE holder = ?`,
  held: `SELECT 1 FROM "${prefix}relay" WHERE holder = ? AND locked_until > ?`,
  pending: `SELECT kind, name FROM "${prefix}destination" AS d WHERE EXISTS
    (SELECT 1 FROM "${prefix}outbox" AS o WHERE o.destination = d.destination AND o.set_aside IS NULL)`,
  take: `SELECT sequence, id, key, body, retried_at AS retriedAt FROM "${prefix}outbox"
    WHERE destination = (SELECT destination FROM "${prefix}destination" WHERE kind = ? AND name = ?) AND set_aside IS NULL
    AND sequence > ? ORDER BY sequence LIMIT ?`,
  remove: `DELETE FROM "${prefix}outbox" WHERE sequence = ? AND set_aside IS NULL`,
  setAside: `UPDATE "${prefix}outbox" SET set_aside = ? WHERE sequence = ?`,
  aside: `SELECT o.sequence, d.kind, d.name, o.id, o.key, o.body, o.set_aside AS reason FROM "${prefix}outbox" AS o
    JOIN "${prefix}destination" AS d USING (destination)
    WHERE o.set_aside IS NOT NULL AND o.sequence > ? ORDER BY o.sequence LIMIT ?`,
  // A sequence above all that were given: see docs/decisions/0004.
  retry: `INSERT INTO "${prefix}outbox" (sequence, destination, id, key, body, retried_at)
    SELECT max(?, 1 + (SELECT seq FROM sqlite_sequence WHERE name = '${prefix}outbox')), destination, id, key, body, ?
    FROM "${prefix}outbox" WHERE sequence = ? AND set_aside IS NOT NULL`,
  drop: `DELETE FROM "${prefix}outbox" WHERE sequence = ? AND set_aside IS NOT NULL`,
  count: `SELECT count(*) FILTER (WHERE set_aside IS NULL) AS waiting,
    count(*) FILTER (WHERE set_aside IS NOT NULL) AS setAside FROM "${prefix}outbox"`,
})

interface TakenRow {
  readonly sequence: number
  readonly id: string
  readonly key: string | null
  readonly body: string
  readonly retriedAt: number | null
}

type Statements = Readonly<Record<keyof ReturnType<typeof sqlOf>, SqliteStatement>>

export class SqliteOutbox implements OutboxPort {
  readonly producerId: string
  readonly #write: Write
  readonly #synced: () => Promise<void>
  readonly #checkOpen: () => void
  /** The highest sequence that is known to be durable. */
  #durableTo = 0
  readonly #statements: Statements

  constructor(
    db: SqliteHandle,
    prefix: string,
    write: Write,
    synced: () => Promise<void>,
    checkOpen: () => void,
  ) {
    this.#write = write
    this.#synced = synced
    this.#checkOpen = checkOpen
    const prepared = Object.entries(sqlOf(prefix)).map(([name, text]) => [name, db.prepare(text)])
    this.#statements = Object.fromEntries(prepared) as Statements
    this.#statements.addProducer.run(newId())
    this.producerId = (this.#statements.producer.get() as { producerId: string }).producerId
  }

  async lock(holder: string, leaseMs: number): Promise<boolean> {
    return this.#write(false, () => {
      const now = Date.now()
      const { changes } = this.#statements.lock.run(
        holder,
        now + leaseMs,
        holder,
        now + 1,
        now + longestLeaseMs,
      )
      return Number(changes) > 0
    })
  }

  async unlock(holder: string): Promise<void> {
    await this.#write(false, () => this.#statements.unlock.run(holder))
  }

  async pending(): Promise<Destination[]> {
    this.#checkOpen()
    return (this.#statements.pending.all() as Destination[]).map(({ kind, name }) => ({ kind, name }))
  }

  async take(holder: string, destination: Destination, limit: number, after = 0): Promise<OutboxRow[]> {
    this.#checkOpen()
    if (this.#statements.held.get(holder, Date.now()) === undefined) return []
    const rows = this.#rows(destination, after, limit)
    const last = rows.at(-1)?.sequence ?? 0
    if (last > this.#durableTo) {
      // A message must not be sent of which a power failure could undo the commit.
      await this.#synced()
      this.#durableTo = last
    }
    return rows.map(({ sequence, id, key, body, retriedAt }) => ({
      destination,
      sequence,
      id,
      key: key ?? undefined,
      body,
      ...(retriedAt === null ? {} : { retriedAt }),
    }))
  }

  /** None beyond the one with which their bodies are as long as one may be: a relay must hold them all. */
  #rows({ kind, name }: Destination, after: number, limit: number): TakenRow[] {
    const { take } = this.#statements
    const values = [kind, name, after, limit] as const
    const rows: TakenRow[] = []
    let length = 0
    for (const row of take.iterate?.(...values) ?? take.all(...values)) {
      rows.push(row as TakenRow)
      length += (row as TakenRow).body.length
      if (length >= maxBodyBytes) break
    }
    return rows
  }

  async remove(rows: readonly OutboxRow[]): Promise<void> {
    await this.#write(false, () => {
      for (const row of rows) this.#statements.remove.run(row.sequence)
    })
  }

  async setAside(row: OutboxRow, reason: string): Promise<void> {
    await this.#write(true, () => this.#statements.setAside.run(reason, row.sequence))
  }

  async aside(limit: number, after = 0): Promise<AsideRow[]> {
    this.#checkOpen()
    type Row = Destination & Omit<AsideRow, 'destination' | 'key'> & { readonly key: string | null }
    const rows = this.#statements.aside.all(after, limit) as Row[]
    return rows.map(({ kind, name, key, ...row }) => ({
      ...row,
      destination: { kind, name },
      key: key ?? undefined,
    }))
  }

  retry(sequences: readonly number[]): Promise<number> {
    const sorted = [...new Set(sequences)].sort((a, b) => a - b)
    return this.#write(true, () => {
      let put = 0
      const now = Date.now()
      for (const sequence of sorted) {
        put += Number(this.#statements.retry.run(now * 1_000, now, sequence).changes)
        this.#statements.drop.run(sequence)
      }
      return put
    })
  }

  drop(sequences: readonly number[]): Promise<number> {
    return this.#write(true, () =>
      sequences.reduce((gone, sequence) => gone + Number(this.#statements.drop.run(sequence).changes), 0),
    )
  }

  async count(): Promise<{ readonly waiting: number; readonly setAside: number }> {
    this.#checkOpen()
    const { waiting, setAside } = this.#statements.count.get() as { waiting: number; setAside: number }
    return { waiting, setAside }
  }
}
