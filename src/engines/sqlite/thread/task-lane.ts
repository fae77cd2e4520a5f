// What the operations on a queue do to its tasks: the lane of messages that stand under rules.
import type { DatabaseSync } from 'node:sqlite'
import { maxPriority, type QueueRules } from '../../../ports/queue-rules.ts'
import { idOf, keyOf } from '../record.ts'
import { type Spans, settleKind, spanWidth, type TaskExtras } from '../wire.ts'
import { Finished } from './finished.ts'
import { flowEnd } from './flows.ts'
import { type Slabs, spanAt } from './spans.ts'
import { type Candidate, TaskClaims, type Unruled } from './task-claims.ts'
import { nextStartAt, type RuleState, startsLeft } from './task-rules.ts'
import { type Carried, type TaskRow, Tasks, withFailure } from './tasks.ts'
import type { Transaction } from './transaction.ts'

/** What a claim may take, and where it puts it. */
export interface TaskTaking {
  readonly token: number
  readonly due: number
  add(seq: number, starts: number, suspect: boolean, orphan: boolean, data: Uint8Array): boolean
}

/** How a lease ends: the delay of a retry with its reason, or the reason of a dead letter. */
export interface TaskEnding {
  readonly kind: number
  readonly argument: number | string | null
  readonly reason: string | null
}

export class TaskLane {
  readonly tasks: Tasks
  readonly finished: Finished
  readonly #claims: TaskClaims

  constructor(db: DatabaseSync) {
    this.tasks = new Tasks(db)
    this.finished = new Finished(db)
    this.#claims = new TaskClaims(db)
  }

  /** Stores messages, each unless another one has its deduplication key; returns those others: pairs of index and id. */
  send(
    { queue, rules }: RuleState,
    spans: Spans,
    extras: readonly TaskExtras[],
    now: number,
    slabs: Slabs,
  ): [number, string][] {
    const duplicates: [number, string][] = []
    const recordAt = (index: number) => spanAt(spans, index * spanWidth, slabs)
    if (extras.some(([, , , , , after]) => after !== null && !after[2]))
      this.tasks.flows.check(
        extras.map(([, , , , , after], index) => [idOf(recordAt(index)), after]),
        now,
      )
    for (const [index, [delayMs, priority, group, lane, dedup, after]] of extras.entries()) {
      const data = recordAt(index)
      const flow = rules.flow === true ? idOf(data) : null
      const holder = dedup === null ? undefined : this.tasks.dedup.holder(queue, dedup[0], now)
      if (holder !== undefined) {
        duplicates.push([index, holder])
        if (flow !== null) this.tasks.duplicate(flow, holder, now)
        continue
      }
      const seq = this.tasks.add(
        queue,
        { priority, group, lane, flow },
        now + delayMs,
        now,
        dedup?.[0] ?? null,
        data,
      )
      if (dedup !== null) this.tasks.dedup.take(queue, dedup[0], dedup[2], seq, now + dedup[1])
      if (after !== null) this.tasks.waitFor(seq, after, now)
    }
    if (extras.some(([, , , , dedup]) => dedup !== null)) this.tasks.dedup.removeOver(now)
    return duplicates
  }

  /** How many messages of the queue may be leased now, by its concurrency and its rate. `others`: leased beside the tasks. */
  room(state: RuleState, now: number, others: () => number): number {
    const { concurrency } = state.rules
    if (state.tasks) this.tasks.promote(state.queue, now)
    const places =
      concurrency === undefined
        ? Number.POSITIVE_INFINITY
        : concurrency - others() - this.#claims.leased(state.queue)
    return Math.max(0, Math.min(places, startsLeft(state, now)))
  }

  /** Leases messages until `taking` wants no more. `unruledFirst`: leases what it wants of those sent without rules; false when it is full. */
  take(
    state: RuleState,
    limit: number,
    taking: TaskTaking,
    unruled: Unruled,
    unruledFirst: () => boolean,
  ): void {
    const take = ({ seq, starts, suspect, orphan }: Candidate) => {
      const more = taking.add(seq, starts + 1, suspect === 1, orphan === 1, this.tasks.data(seq))
      this.tasks.lease(seq, taking.token, taking.due)
      return more
    }
    if (state.rules.groups !== undefined) {
      this.#claims.inTurns(state, take, unruled)
      return
    }
    let full = false
    this.#claims.inOrder(state.queue, 1, maxPriority, limit, (task) => {
      full = !take(task)
      return !full
    })
    if (!full && unruledFirst()) this.#claims.inOrder(state.queue, -maxPriority, 0, limit, take)
  }

  /** The rate has counted these starts. */
  started(state: RuleState, count: number): void {
    if (state.rules.rate === undefined) return
    state.bucket -= count
    state.changed = true
  }

  /** When to look again, if nothing happens; infinity when only something that happens can help. */
  nextLook(state: RuleState, now: number): number {
    const refill = nextStartAt(state)
    return Math.min(this.tasks.firstDue(state.queue), refill > now ? refill : Number.POSITIVE_INFINITY)
  }

  /** A dead letter comes back: at the end of the queue and of its key, with what it carried. */
  addAgain(
    queue: number,
    rules: QueueRules,
    { carried, flow }: { readonly carried: string | null; readonly flow: string | null },
    data: Uint8Array,
    now: number,
  ): void {
    if (flow !== null) this.tasks.flows.revived(flow)
    const { priority = 0, group = '' } = carried === null ? {} : (JSON.parse(carried) as Partial<Carried>)
    const lane = rules.keyOrder ? keyOf(data) : null
    this.tasks.add(
      queue,
      {
        priority: rules.priority ? priority : 0,
        group: rules.groups ? group : '',
        lane,
        flow: flow ?? (rules.flow ? idOf(data) : null),
      },
      now,
      now,
      null,
      data,
    )
  }

  /** Ends a lease; false when it is stale. */
  settle(
    { rules }: RuleState,
    { queue, seq, token }: { readonly queue: number; readonly seq: number; readonly token: number },
    { kind, argument, reason }: TaskEnding,
    { now }: Transaction,
    bury: (row: TaskRow, reason: string, data: Uint8Array) => void,
  ): boolean {
    const row = this.tasks.leased(queue, seq, token)
    if (row === undefined) return false
    if (row.cancelled === 1) this.tasks.end(row, flowEnd.gone, now)
    else if (kind === settleKind.done) {
      if (rules.finished !== undefined) this.finished.add(queue, row.starts, now, this.tasks.data(seq))
      this.tasks.end(row, flowEnd.done, now)
    } else if (kind === settleKind['dead-letter']) {
      bury(row, String(argument), this.tasks.data(seq))
      this.tasks.end(row, flowEnd.dead, now)
    } else if (kind === settleKind.release) this.tasks.putBack({ ...row, starts: row.starts - 1 }, now, now)
    else {
      const history = reason === null ? row.history : withFailure(row.history, row.starts, now, reason)
      this.tasks.putBack({ ...row, suspect: 0, history }, now + Number(argument), now)
    }
    return true
  }

  /** 0 for stale, 1 for extended, 2 for extended but cancelled. */
  extend(queue: number, seq: number, token: number, due: number, now: number): number {
    const row = this.tasks.leased(queue, seq, token)
    // What was cancelled is gone with its lease.
    if (row === undefined || (row.cancelled === 1 && row.due! <= now)) return 0
    this.tasks.extend(row, due)
    return row.cancelled === 1 ? 2 : 1
  }
}
