// Leases, kept as runs: messages that follow each other and were claimed together have one row, until some of them end
// or are extended apart from the others. Claiming a thousand messages writes one row, and so does settling them.
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** Messages `first` to `last` of a queue. `token` is above 0 while they are leased, 0 while they wait until `due`. */
export interface Run {
  readonly first: number
  readonly last: number
  readonly token: number
  readonly due: number
  readonly starts: number
  /** 1 when an earlier lease ended by its time, and none since was settled. */
  readonly suspect: number
}

/** So many runs of a queue are sorted for a page of them. */
const fewRuns = 10_000

interface RunRow extends Run {
  readonly queue: number
}

export class Leases {
  readonly #insert: StatementSync
  readonly #at: StatementSync
  readonly #delete: StatementSync
  readonly #shorten: StatementSync
  readonly #dueBy: StatementSync
  readonly #firstDue: StatementSync
  readonly #renew: StatementSync
  readonly #before: StatementSync
  readonly #count: StatementSync
  readonly #leased: StatementSync
  readonly #few: StatementSync
  readonly #pageOfFew: StatementSync
  readonly #pageOfMany: StatementSync
  readonly #free: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(
      'INSERT INTO lease ("first", "last", queue, token, due, starts, suspect) VALUES (?, ?, ?, ?, ?, ?, ?)',
    )
    this.#at = db.prepare(
      `SELECT "first", "last", queue, token, due, starts, suspect FROM lease WHERE "first" <= ? ORDER BY "first" DESC LIMIT 1`,
    )
    this.#delete = db.prepare('DELETE FROM lease WHERE "first" = ?')
    this.#shorten = db.prepare('UPDATE lease SET "last" = ? WHERE "first" = ?')
    this.#dueBy = db.prepare(
      `SELECT "first", "last", token, due, starts, suspect FROM lease WHERE queue = ? AND due <= ? ORDER BY due LIMIT ?`,
    )
    this.#firstDue = db.prepare('SELECT min(due) AS due FROM lease WHERE queue = ?')
    this.#renew = db.prepare('UPDATE lease SET token = ?, due = ?, starts = ?, suspect = ? WHERE "first" = ?')
    this.#before = db.prepare('SELECT "last" FROM lease WHERE "first" < ? ORDER BY "first" DESC LIMIT 1')
    this.#count = db.prepare(
      `SELECT coalesce(sum(("last" - "first" + 1) * (due <= ?1)), 0) AS ready,
              coalesce(sum(("last" - "first" + 1) * (token = 0 AND due > ?1)), 0) AS delayed,
              coalesce(sum(("last" - "first" + 1) * (token > 0 AND due > ?1)), 0) AS leased
       FROM lease WHERE queue = ?2`,
    )
    this.#leased = db.prepare(
      `SELECT coalesce(sum("last" - "first" + 1), 0) AS n FROM lease WHERE queue = ? AND due > ? AND token > 0`,
    )
    this.#few = db.prepare(
      `SELECT count(*) <= ${fewRuns} AS few FROM (SELECT 1 FROM lease WHERE queue = ? LIMIT ${fewRuns + 1})`,
    )
    const page = (queue: string) =>
      db.prepare(
        `SELECT "first", "last", token, due, starts, suspect FROM lease
         WHERE ${queue} = ?1 AND "last" > ?2 AND "first" < ?3
           AND "first" >= coalesce((SELECT "first" FROM lease WHERE "first" <= ?2 ORDER BY "first" DESC LIMIT 1), 0)
         ORDER BY "first" LIMIT ?4`,
      )
    this.#pageOfFew = page('queue')
    // The plus keeps it from being sorted whole for each page; those of other queues are passed over.
    this.#pageOfMany = page('+queue')
    this.#free = db.prepare(
      `SELECT "first", "last", token, due, starts, suspect FROM lease
       WHERE queue = ? AND "first" >= ? AND "first" < ? AND (token = 0 OR due <= ?) LIMIT ?`,
    )
  }

  add(queue: number, { first, last, token, due, starts, suspect }: Run): void {
    this.#insert.run(first, last, queue, token, due, starts, suspect)
  }

  /**
   * Takes the messages from `first` to `last` out of their leases, as far as these have the token, and returns the pieces
   * in ascending order. What is not in them is stale.
   */
  takeOut(queue: number, first: number, last: number, token: number): Run[] {
    const pieces: Run[] = []
    for (let from = first; from <= last; ) {
      const row = this.#at.get(from) as unknown as RunRow | undefined
      if (row === undefined || row.last < from || row.token !== token || row.queue !== queue || token <= 0) {
        from++
        continue
      }
      const to = Math.min(last, row.last)
      if (row.first === from) this.#delete.run(row.first)
      else this.#shorten.run(from - 1, row.first)
      if (to < row.last) this.add(queue, { ...row, first: to + 1 })
      pieces.push({ ...row, first: from, last: to })
      from = to + 1
    }
    return pieces
  }

  /**
   * Gives up to `limit` messages of due runs to a new lease, and returns them as they are now. Ends before the first one
   * that `take` does not take.
   */
  claimDue(
    queue: number,
    limit: number,
    now: number,
    lease: { readonly token: number; readonly due: number },
    take: (seq: number) => boolean,
  ): Run[] {
    const { token, due } = lease
    const claimed: Run[] = []
    let left = limit
    for (const row of this.#dueBy.all(queue, now, limit) as unknown as Run[]) {
      let last = row.first - 1
      while (last < row.last && left > 0 && take(last + 1)) {
        last++
        left--
      }
      if (last < row.first) break
      const suspect = row.token > 0 ? 1 : row.suspect
      const run = { first: row.first, last, token, due, starts: row.starts + 1, suspect }
      if (last === row.last) this.#renew.run(token, due, run.starts, suspect, row.first)
      else {
        this.#delete.run(row.first)
        this.add(queue, run)
        this.add(queue, { ...row, first: last + 1 })
      }
      claimed.push(run)
      if (last < row.last) break
    }
    return claimed
  }

  /** The lease or waiting of one message. */
  at(queue: number, seq: number): Run | undefined {
    const row = this.#at.get(seq) as unknown as RunRow | undefined
    return row !== undefined && row.last >= seq && row.queue === queue ? row : undefined
  }

  /** Takes one message out of its lease or its waiting, whatever that is. */
  remove(queue: number, seq: number): void {
    const row = this.at(queue, seq)
    if (row === undefined) return
    if (row.first === seq) this.#delete.run(row.first)
    else this.#shorten.run(seq - 1, row.first)
    if (seq < row.last) this.add(queue, { ...row, first: seq + 1 })
  }

  /** Forgets a whole run. */
  removeRun(first: number): void {
    this.#delete.run(first)
  }

  /** How many messages of the queue are leased now. */
  leased(queue: number, now: number): number {
    return Number(this.#leased.get(queue, now)!.n)
  }

  /** Up to `limit` runs that reach above `after` and begin below `before`, in their order. */
  page(queue: number, after: number, before: number, limit: number): Run[] {
    const page = this.#few.get(queue)!.few === 1 ? this.#pageOfFew : this.#pageOfMany
    return page.all(queue, after, before, limit) as unknown as Run[]
  }

  /** Up to `limit` runs that nobody holds and that begin from `first` to before `before`, in any order. */
  free(queue: number, first: number, before: number, now: number, limit: number): Run[] {
    return this.#free.all(queue, first, before, now, limit) as unknown as Run[]
  }

  /** When the first lease or waiting of the queue ends; infinity without any. */
  firstDue(queue: number): number {
    return (this.#firstDue.get(queue)!.due as number | null) ?? Number.POSITIVE_INFINITY
  }

  /** Whether any message from `first` up to `end` has a lease or waits. */
  anyIn(first: number, end: number): boolean {
    const row = this.#before.get(end)
    return row !== undefined && Number(row.last) >= first
  }

  count(queue: number, now: number): { ready: number; delayed: number; leased: number } {
    const row = this.#count.get(now, queue)!
    return { ready: Number(row.ready), delayed: Number(row.delayed), leased: Number(row.leased) }
  }
}
