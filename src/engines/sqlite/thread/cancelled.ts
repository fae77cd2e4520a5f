// Messages without rules that were cancelled. One that nobody claimed yet is passed over when its turn comes; one that is leased
// goes when its lease ends.
import type { DatabaseSync, StatementSync } from 'node:sqlite'

export class Cancelled {
  readonly #add: StatementSync
  readonly #remove: StatementSync
  readonly #has: StatementSync
  readonly #any: StatementSync
  readonly #anyIn: StatementSync
  readonly #nextFresh: StatementSync
  readonly #leased: StatementSync
  readonly #countFresh: StatementSync
  readonly #known = new Map<number, boolean>()

  constructor(db: DatabaseSync) {
    this.#add = db.prepare('INSERT OR IGNORE INTO queue_cancelled (seq, queue, leased) VALUES (?, ?, ?)')
    this.#remove = db.prepare('DELETE FROM queue_cancelled WHERE seq BETWEEN ? AND ?')
    this.#has = db.prepare('SELECT 1 AS one FROM queue_cancelled WHERE seq = ?')
    this.#anyIn = db.prepare('SELECT 1 AS one FROM queue_cancelled WHERE seq BETWEEN ? AND ? LIMIT 1')
    this.#any = db.prepare('SELECT 1 AS one FROM queue_cancelled WHERE queue = ? LIMIT 1')
    this.#nextFresh = db.prepare(
      'SELECT min(seq) AS seq FROM queue_cancelled WHERE queue = ? AND leased = 0 AND seq >= ?',
    )
    this.#leased = db.prepare('SELECT seq FROM queue_cancelled WHERE queue = ? AND leased = 1')
    this.#countFresh = db.prepare('SELECT count(*) AS n FROM queue_cancelled WHERE queue = ? AND leased = 0')
  }

  /** False, mostly: then nothing here needs to be asked. */
  any(queue: number): boolean {
    const known = this.#known.get(queue) ?? this.#any.get(queue) !== undefined
    this.#known.set(queue, known)
    return known
  }

  add(queue: number, seq: number, leased: boolean): void {
    this.#add.run(seq, queue, leased ? 1 : 0)
    this.#known.set(queue, true)
  }

  has(seq: number): boolean {
    return this.#has.get(seq) !== undefined
  }

  anyIn(first: number, last: number): boolean {
    return this.#anyIn.get(first, last) !== undefined
  }

  /** Messages are gone: what was noted of them as well. */
  gone(queue: number, first: number, last: number): void {
    if (this.any(queue)) this.take(queue, first, last)
  }

  /** Removes what was cancelled among messages; returns how many there were. */
  take(queue: number, first: number, last: number): number {
    this.#known.delete(queue)
    return Number(this.#remove.run(first, last).changes)
  }

  /** The first fresh message from a number on that was cancelled; infinity without any. */
  nextFresh(queue: number, from: number): number {
    return (this.#nextFresh.get(queue, from)!.seq as number | null) ?? Number.POSITIVE_INFINITY
  }

  leased(queue: number): number[] {
    return this.#leased.all(queue).map(({ seq }) => Number(seq))
  }

  countFresh(queue: number): number {
    return this.any(queue) ? Number(this.#countFresh.get(queue)!.n) : 0
  }

  forget(): void {
    this.#known.clear()
  }
}
