// What holders of leases said last of how far they are. A row counts only for the lease with its token.
import type { DatabaseSync, StatementSync } from 'node:sqlite'

export class Progress {
  readonly #set: StatementSync
  readonly #of: StatementSync
  readonly #gone: StatementSync
  readonly #any: StatementSync
  readonly #known = new Map<number, boolean>()

  constructor(db: DatabaseSync) {
    this.#set = db.prepare(
      'INSERT OR REPLACE INTO queue_progress (seq, queue, token, value) VALUES (?, ?, ?, ?)',
    )
    this.#of = db.prepare('SELECT value FROM queue_progress WHERE seq = ? AND token = ?')
    this.#gone = db.prepare('DELETE FROM queue_progress WHERE seq BETWEEN ? AND ?')
    this.#any = db.prepare('SELECT 1 AS one FROM queue_progress WHERE queue = ? LIMIT 1')
  }

  set(queue: number, seq: number, token: number, value: string): void {
    this.#set.run(seq, queue, token, value)
    this.#known.set(queue, true)
  }

  of(queue: number, seq: number, token: number): string | null {
    if (!this.#inUse(queue)) return null
    return (this.#of.get(seq, token)?.value as string | undefined) ?? null
  }

  /** Messages are gone. */
  gone(queue: number, first: number, last: number): void {
    if (this.#inUse(queue) && Number(this.#gone.run(first, last).changes) > 0) this.#known.delete(queue)
  }

  forget(): void {
    this.#known.clear()
  }

  /** False, mostly: then nothing here needs to be asked. */
  #inUse(queue: number): boolean {
    const known = this.#known.get(queue) ?? this.#any.get(queue) !== undefined
    this.#known.set(queue, known)
    return known
  }
}
