// Empties a queue in steps, up to what there was when it began.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { PurgeEnd } from '../wire.ts'
import type { Cancelled } from './cancelled.ts'
import { flowEnd } from './flows.ts'
import type { Leases } from './leases.ts'
import { firstSingle, type QueueLog, type QueueState } from './queue-log.ts'
import type { Tasks } from './tasks.ts'

const freshAtOnce = 50_000
const atOnce = 2_000

export class Purges {
  readonly #log: QueueLog
  readonly #leases: Leases
  readonly #cancelled: Cancelled
  readonly #tasks: Tasks
  /** Of those that a step has found: they were gone before, though nobody had looked. */
  #cancelledBefore = 0
  readonly #lastDead: StatementSync
  readonly #keepNumbers: StatementSync
  readonly #lastOfStep: StatementSync
  readonly #deadInFlows: StatementSync
  readonly #deleteDead: StatementSync

  constructor(db: DatabaseSync, log: QueueLog, leases: Leases, cancelled: Cancelled, tasks: Tasks) {
    this.#log = log
    this.#leases = leases
    this.#cancelled = cancelled
    this.#tasks = tasks
    this.#lastDead = db.prepare('SELECT max(handle) AS handle FROM queue_dead WHERE queue = ?')
    this.#keepNumbers = db.prepare('UPDATE queue_numbers SET singles = ?, tasks = ?')
    this.#lastOfStep = db.prepare(
      `SELECT max(handle) AS handle FROM (
         SELECT handle FROM queue_dead WHERE queue = ? AND handle <= ? ORDER BY handle LIMIT ${atOnce})`,
    )
    this.#deadInFlows = db.prepare(
      'SELECT flow FROM queue_dead WHERE queue = ? AND handle <= ? AND flow IS NOT NULL',
    )
    this.#deleteDead = db.prepare('DELETE FROM queue_dead WHERE queue = ? AND handle <= ?')
  }

  /** The last of everything. What is sent from now on, here or in another process, has higher numbers, whatever is left by then. */
  begin(state: QueueState): PurgeEnd {
    const dead = Number(this.#lastDead.get(state.id)!.handle ?? 0)
    const [single, task] = [this.#log.lastSingle(), this.#tasks.last()]
    this.#keepNumbers.run(single, task)
    return [state.end, single, task, dead]
  }

  /** One step; how many dead letters it removed. */
  dead(
    queue: number,
    [, , , last]: PurgeEnd,
    now: number,
  ): { readonly removed: number; readonly more: boolean } {
    const end = Number(this.#lastOfStep.get(queue, last)!.handle ?? 0)
    for (const { flow } of this.#deadInFlows.all(queue, end)) this.#tasks.deadGone(String(flow), now)
    const removed = Number(this.#deleteDead.run(queue, end).changes)
    return { removed, more: removed > 0 }
  }

  /** One step; how many messages it removed, and whether anything may be left that nobody holds. */
  waiting(
    state: QueueState,
    end: PurgeEnd,
    now: number,
  ): { readonly removed: number; readonly more: boolean } {
    this.#cancelledBefore = 0
    const found = this.#step(state, end, now)
    return { removed: found - this.#cancelledBefore, more: found > 0 }
  }

  #step(state: QueueState, [batches, singles, tasks]: PurgeEnd, now: number): number {
    return (
      this.#fresh(state, batches) ||
      this.#handedOut(state, 0, Math.min(batches, firstSingle), now) ||
      this.#handedOut(state, firstSingle, singles + 1, now) ||
      this.#taskStep(state, tasks, now)
    )
  }

  #forget(queue: number, first: number, last: number): void {
    if (this.#cancelled.any(queue)) this.#cancelledBefore += this.#cancelled.take(queue, first, last)
  }

  #fresh(state: QueueState, end: number): number {
    let removed = 0
    while (removed < freshAtOnce && state.cursor < end) {
      const skipped = this.#log.skip(state, Math.min(freshAtOnce, end - state.cursor))
      if (skipped === undefined) break
      const [first, last] = skipped
      removed += last - first + 1
      this.#forget(state.id, first, last)
      this.#log.drop(state, first, last)
    }
    return removed
  }

  #handedOut(state: QueueState, from: number, before: number, now: number): number {
    let removed = 0
    for (const { first, last } of this.#leases.free(state.id, from, before, now, atOnce)) {
      this.#leases.removeRun(first)
      this.#forget(state.id, first, last)
      this.#tasks.progress.gone(state.id, first, last)
      this.#log.drop(state, first, last)
      removed += last - first + 1
    }
    return removed
  }

  #taskStep(state: QueueState, last: number, now: number): number {
    const rows = this.#tasks.waiting(state.id, last, now, atOnce)
    // From the end: so that none is made ready only to be removed next.
    for (const { seq } of rows.reverse()) {
      const row = this.#tasks.row(seq)
      if (row === undefined) continue
      this.#cancelledBefore += row.cancelled
      this.#tasks.end(row, flowEnd.gone, now)
    }
    return rows.length
  }
}
