// Walks over the messages of a queue in the order of their numbers: for looking at them, and for finding some by their ids.
import type { PeekedBytes } from '../wire.ts'
import type { Cancelled } from './cancelled.ts'
import type { Leases, Run } from './leases.ts'
import { firstSingle, type QueueLog, type QueueState } from './queue-log.ts'
import { firstTask, type Tasks, taskState } from './tasks.ts'

/** A page ends when it has as many bytes, so that its answer is bounded. */
export const pageBytes: number = 8 * 1024 * 1024

/** What messages without rules do not have. */
const plain = { priority: 0, group: '', after: null, progress: null }

/** Messages that were seen, up to a limit of their number and of their bytes. At least one goes in. */
class Page {
  readonly messages: PeekedBytes[] = []
  readonly #limit: number
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get left(): number {
    return this.#bytes < pageBytes ? this.#limit - this.messages.length : 0
  }

  add(message: PeekedBytes): void {
    this.messages.push(message)
    this.#bytes += message.data.length
  }
}

export class QueueScan {
  readonly #log: QueueLog
  readonly #leases: Leases
  readonly #cancelled: Cancelled
  readonly #tasks: Tasks
  readonly #progress: Tasks['progress']

  constructor(log: QueueLog, leases: Leases, cancelled: Cancelled, tasks: Tasks) {
    this.#log = log
    this.#leases = leases
    this.#cancelled = cancelled
    this.#tasks = tasks
    this.#progress = tasks.progress
  }

  any(state: QueueState): boolean {
    return (
      this.#log.head(state) !== undefined ||
      this.#leases.page(state.id, -1, firstTask, 1).length > 0 ||
      this.#tasks.any(state.id)
    )
  }

  /**
   * Up to `limit` messages after a number: those that were handed out, fresh ones, single ones, tasks. `next`: after which number
   * there may be more.
   */
  page(
    state: QueueState,
    after: number,
    limit: number,
    now: number,
  ): { readonly messages: PeekedBytes[]; readonly next: number | null } {
    const page = new Page(limit)
    this.#handedOut(state, after, firstSingle, now, page)
    this.#fresh(state, after, page)
    this.#handedOut(state, Math.max(after, firstSingle - 1), firstTask, now, page)
    this.#taskRows(state, Math.max(after, firstTask - 1), now, page)
    const { messages } = page
    return { messages, next: page.left > 0 ? null : messages[messages.length - 1]!.seq }
  }

  #taskRows(state: QueueState, after: number, now: number, page: Page): void {
    if (page.left <= 0) return
    for (const row of this.#tasks.page(state.id, after, page.left)) {
      const { seq, starts, priority, grp: group, data } = row
      const due = row.state === taskState.behind ? row.notBefore : (row.due ?? 0)
      const ended = due <= now || row.waits === 1
      // Gone with its lease: the next claim removes it.
      if (ended && row.cancelled === 1) continue
      const held = row.state === taskState.leased
      const where = row.waits === 1 ? 'waiting' : ended ? 'ready' : held ? 'leased' : 'delayed'
      const after = row.waits === 1 ? this.#tasks.flows.waitsFor(seq) : null
      const progress = where === 'leased' ? this.#progress.of(state.id, seq, row.token) : null
      page.add({ seq, state: where, starts, due: ended ? null : due, priority, group, after, progress, data })
      if (page.left <= 0) return
    }
  }

  #handedOut(state: QueueState, after: number, before: number, now: number, page: Page): void {
    if (page.left <= 0 || after >= before) return
    // Whose lease is over is gone: the next claim removes it.
    const cancelled = this.#cancelled.any(state.id)
    for (const run of this.#leases.page(state.id, after, before, page.left))
      for (let seq = Math.max(run.first, after + 1); seq <= run.last && page.left > 0; seq++)
        if (run.due > now || !cancelled || !this.#cancelled.has(seq))
          page.add(this.#peeked(state.id, seq, run, now))
  }

  #peeked(queue: number, seq: number, { token, due, starts }: Run, now: number): PeekedBytes {
    const ended = due <= now
    const state = ended ? 'ready' : token > 0 ? 'leased' : 'delayed'
    const progress = state === 'leased' ? this.#progress.of(queue, seq, token) : null
    return { ...plain, seq, state, starts, due: ended ? null : due, progress, data: this.#copy(seq) }
  }

  #fresh(state: QueueState, after: number, page: Page): void {
    const cancelled = this.#cancelled.any(state.id)
    for (let seq = Math.max(state.cursor, after + 1); seq < state.end && page.left > 0; seq++) {
      // Other queues have numbers in between.
      const batch = this.#log.batchFrom(state, seq)
      if (batch === undefined) return
      seq = Math.max(seq, batch.base)
      if (cancelled && this.#cancelled.has(seq)) continue
      page.add({ ...plain, seq, state: 'ready', starts: 0, due: null, data: this.#copy(seq) })
    }
  }

  /** What is read from a batch is only valid until the next call. */
  #copy(seq: number): Uint8Array {
    return this.#log.record(seq).slice()
  }
}
