// Walks over the messages of a queue in the order of their numbers: for looking at them, and for finding some by their ids.
import type { PeekedBytes } from '../wire.ts'
import type { Cancelled } from './cancelled.ts'
import type { Leases, Run } from './leases.ts'
import { firstSingle, type QueueLog, type QueueState } from './queue-log.ts'
import { firstTask, type Tasks, taskState } from './tasks.ts'

export class QueueScan {
  readonly #log: QueueLog
  readonly #leases: Leases
  readonly #cancelled: Cancelled
  readonly #tasks: Tasks

  constructor(log: QueueLog, leases: Leases, cancelled: Cancelled, tasks: Tasks) {
    this.#log = log
    this.#leases = leases
    this.#cancelled = cancelled
    this.#tasks = tasks
  }

  any(state: QueueState): boolean {
    return (
      this.#log.head(state) !== undefined ||
      this.#leases.page(state.id, -1, firstTask, 1).length > 0 ||
      this.#tasks.any(state.id)
    )
  }

  /** Up to `limit` messages after a number: those that were handed out, fresh ones, single ones, tasks. */
  page(state: QueueState, after: number, limit: number, now: number): PeekedBytes[] {
    const page: PeekedBytes[] = []
    this.#handedOut(state, after, firstSingle, limit, now, page)
    this.#fresh(state, after, limit, page)
    this.#handedOut(state, Math.max(after, firstSingle - 1), firstTask, limit, now, page)
    for (const row of this.#tasks.page(state.id, Math.max(after, firstTask - 1), limit - page.length)) {
      const { seq, starts, priority, grp: group, data } = row
      const due = row.state === taskState.behind ? row.notBefore : (row.due ?? 0)
      const ended = due <= now
      const where = ended ? 'ready' : row.state === taskState.leased ? 'leased' : 'delayed'
      page.push({ seq, state: where, starts, due: ended ? null : due, priority, group, data })
    }
    return page
  }

  #handedOut(
    state: QueueState,
    after: number,
    before: number,
    limit: number,
    now: number,
    page: PeekedBytes[],
  ): void {
    if (page.length >= limit || after >= before) return
    for (const run of this.#leases.page(state.id, after, before, limit - page.length))
      for (let seq = Math.max(run.first, after + 1); seq <= run.last && page.length < limit; seq++)
        page.push(this.#peeked(seq, run, now))
  }

  #peeked(seq: number, { token, due, starts }: Run, now: number): PeekedBytes {
    const ended = due <= now
    const state = ended ? 'ready' : token > 0 ? 'leased' : 'delayed'
    return { seq, state, starts, due: ended ? null : due, priority: 0, group: '', data: this.#copy(seq) }
  }

  #fresh(state: QueueState, after: number, limit: number, page: PeekedBytes[]): void {
    const cancelled = this.#cancelled.any(state.id)
    for (let seq = Math.max(state.cursor, after + 1); seq < state.end && page.length < limit; seq++) {
      // Other queues have numbers in between.
      const batch = this.#log.batchFrom(state, seq)
      if (batch === undefined) return
      seq = Math.max(seq, batch.base)
      if (cancelled && this.#cancelled.has(seq)) continue
      page.push({ seq, state: 'ready', starts: 0, due: null, priority: 0, group: '', data: this.#copy(seq) })
    }
  }

  /** What is read from a batch is only valid until the next call. */
  #copy(seq: number): Uint8Array {
    return this.#log.record(seq).slice()
  }
}
