// The finished messages of queues that keep them.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import type { FinishedBytes } from '../wire.ts'
import { pageBytes } from './queue-scan.ts'

/** How many one trimming looks at, and removes at most. */
const atOnce = 2_000

export class Finished {
  readonly #add: StatementSync
  readonly #page: StatementSync
  readonly #newest: StatementSync
  readonly #trim: StatementSync

  constructor(db: DatabaseSync) {
    this.#add = db.prepare(
      'INSERT INTO queue_finished (queue, starts, finished_at, data) VALUES (?, ?, ?, ?)',
    )
    this.#page = db.prepare(
      `SELECT handle, starts, finished_at AS finishedAt, data FROM queue_finished
       WHERE queue = ? AND handle < ? AND finished_at > ? ORDER BY handle DESC LIMIT ?`,
    )
    this.#newest = db.prepare(
      'SELECT handle FROM queue_finished WHERE queue = ? ORDER BY handle DESC LIMIT 1 OFFSET ?',
    )
    this.#trim = db.prepare(
      `DELETE FROM queue_finished WHERE handle IN (
         SELECT handle FROM (
           SELECT handle, finished_at FROM queue_finished WHERE queue = ? ORDER BY handle LIMIT ${atOnce}
         ) WHERE handle <= ? OR finished_at <= ?)`,
    )
  }

  add(queue: number, starts: number, now: number, data: Uint8Array): void {
    this.#add.run(queue, starts, now, data)
  }

  /** The newest first, as many as a page may have bytes. */
  page(
    queue: number,
    rule: QueueRules['finished'],
    { before, limit }: { readonly before: number; readonly limit: number },
    now: number,
  ): FinishedBytes[] {
    const page: FinishedBytes[] = []
    let bytes = 0
    const rows = this.#page.iterate(queue, before, now - (rule?.forMs ?? now + 1), limit)
    for (const row of rows as Iterable<unknown> as Iterable<FinishedBytes>) {
      page.push(row)
      bytes += row.data.length
      if (bytes >= pageBytes) break
    }
    return page
  }

  /** How many it removed of those that need not be kept. */
  trim(queue: number, rule: QueueRules['finished'], now: number): number {
    const kept = rule === undefined ? 0 : rule.count
    const over = kept === undefined ? 0 : Number(this.#newest.get(queue, kept)?.handle ?? 0)
    return Number(this.#trim.run(queue, over, now - (rule?.forMs ?? now + 1)).changes)
  }
}
