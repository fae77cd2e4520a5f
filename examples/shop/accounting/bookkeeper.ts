// The bookkeeper: enters what the day brought into the books, five hundred entries at a time, and goes when nothing is left.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message, Queue } from '../spillway.ts'
import type { Entry } from './contract.ts'

export interface Books {
  readonly entries: number
  /** Pence: charges less refunds. */
  readonly balance: number
}

export async function keepBooks(
  queue: Queue<Entry, Entry>,
  folder: string,
  signal?: AbortSignal,
): Promise<Books> {
  const db = new DatabaseSync(join(folder, 'accounting.sqlite'), { timeout: 5_000 })
  db.exec(`CREATE TABLE IF NOT EXISTS journal
    (invoice TEXT PRIMARY KEY, kind TEXT NOT NULL, pence INTEGER NOT NULL) STRICT`)
  // One transaction for a whole batch: that is what batches are for.
  const bookkeeper = queue.consumeBatch((entries) => enter(db, entries), { size: 500, wait: '100ms' })
  try {
    while (!signal?.aborted && !(await isEmpty(queue))) await sleep(50)
  } finally {
    await bookkeeper.stop()
  }
  const { entries, balance } = db
    .prepare(
      `SELECT count(*) AS entries, coalesce(sum(iif(kind = 'refund', -pence, pence)), 0) AS balance FROM journal`,
    )
    .get()!
  db.close()
  return { entries: Number(entries), balance: Number(balance) }
}

/** There is no inbox here: an entry that comes twice is known by its invoice. */
function enter(db: DatabaseSync, entries: readonly Message<Entry>[]): void {
  const insert = db.prepare('INSERT OR IGNORE INTO journal VALUES (?, ?, ?)')
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const { data } of entries) insert.run(data.invoice, data.kind, data.pence)
    db.exec('COMMIT')
  } catch (thrown) {
    db.exec('ROLLBACK')
    throw thrown
  }
}

async function isEmpty(queue: Queue<Entry>): Promise<boolean> {
  const { ready, delayed, leased } = await queue.count()
  return ready + delayed + leased === 0
}
