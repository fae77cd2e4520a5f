// Deduplication keys: which message has one, and for how long after its end.
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Keys that are nobody's any more are removed so many at a time, with the sends that come after. */
const removedAtOnce = 100

export class DedupKeys {
  readonly #holder: StatementSync
  readonly #take: StatementSync
  readonly #free: StatementSync
  readonly #forget: StatementSync
  readonly #removeOver: StatementSync

  constructor(db: DatabaseSync) {
    this.#holder = db.prepare(
      // One that was cancelled while it was held is gone with its lease, though nobody may have looked since.
      `SELECT id FROM task_dedup d WHERE queue = ?1 AND name = ?2 AND (until > ?3 OR seq IS NOT NULL AND NOT EXISTS (
         SELECT 1 FROM task WHERE task.seq = d.seq AND cancelled = 1 AND due <= ?3))`,
    )
    this.#take = db.prepare(
      'INSERT OR REPLACE INTO task_dedup (queue, name, id, seq, until) VALUES (?, ?, ?, ?, ?)',
    )
    this.#free = db.prepare('UPDATE task_dedup SET seq = NULL WHERE queue = ? AND name = ? AND seq = ?')
    this.#forget = db.prepare('DELETE FROM task_dedup WHERE queue = ?')
    this.#removeOver = db.prepare(
      `DELETE FROM task_dedup WHERE (queue, name) IN (
         SELECT queue, name FROM task_dedup WHERE seq IS NULL AND until <= ? ORDER BY until LIMIT ${removedAtOnce})`,
    )
  }

  /** The id of the message that has the key; undefined when it is free. */
  holder(queue: number, name: string, now: number): string | undefined {
    return this.#holder.get(queue, name, now)?.id as string | undefined
  }

  take(queue: number, name: string, id: string, seq: number, until: number): void {
    this.#take.run(queue, name, id, seq, until)
  }

  /** The message has ended: what is left of its key is its time. */
  free(queue: number, name: string, seq: number): void {
    this.#free.run(queue, name, seq)
  }

  forget(queue: number): void {
    this.#forget.run(queue)
  }

  removeOver(now: number): void {
    this.#removeOver.run(now)
  }
}
