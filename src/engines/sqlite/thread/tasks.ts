// Tasks: the messages of queues with rules, a row each. A task is ready, waits until a time, is leased until a time, or
// stands behind the one before it of its key, or waits for others.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { FailedStart } from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { DedupKeys } from './dedup-keys.ts'
import { type FlowAfter, type FlowEnd, Flows, flowEnd } from './flows.ts'
import { Progress } from './progress.ts'

/** From here on sequence numbers are those of tasks. */
export const firstTask: number = 2 ** 52 + 2 ** 51
/** How many tasks whose time has come one claim makes ready at most: with a million of them all others would wait for seconds. */
const dueAtOnce = 2_000

export const taskState = { ready: 0, waiting: 1, leased: 2, behind: 3, others: 4 } as const

export interface TaskRow {
  readonly seq: number
  readonly queue: number
  readonly state: number
  readonly due: number | null
  readonly notBefore: number
  readonly priority: number
  readonly grp: string
  readonly lane: string | null
  readonly token: number
  readonly starts: number
  readonly suspect: number
  readonly cancelled: number
  readonly dedup: string | null
  readonly history: string | null
  /** Its id, where others may wait for it. */
  readonly flow: string | null
  readonly waits: number
  readonly orphan: number
}

/** What a message carries beside its record. */
export interface Carried {
  readonly priority: number
  readonly group: string
  /** Its key, where the order of keys holds. */
  readonly lane: string | null
  readonly flow: string | null
}

const columns = `seq, queue, state, due, not_before AS notBefore, priority, grp, lane, token, starts, suspect, cancelled,
  dedup, history, flow, waits, orphan`

export class Tasks {
  readonly dedup: DedupKeys
  readonly flows: Flows
  readonly progress: Progress
  readonly #last: StatementSync
  readonly #insert: StatementSync
  readonly #row: StatementSync
  readonly #data: StatementSync
  readonly #laneFirst: StatementSync
  readonly #firstTurn: StatementSync
  readonly #giveWay: StatementSync
  readonly #place: StatementSync
  readonly #delete: StatementSync
  readonly #due: StatementSync
  readonly #promote: StatementSync
  readonly #firstDue: StatementSync
  readonly #lease: StatementSync
  readonly #setWaits: StatementSync
  readonly #letGo: StatementSync
  readonly #head: StatementSync
  readonly #allWaiting: StatementSync
  readonly #extend: StatementSync
  readonly #cancel: StatementSync
  readonly #count: StatementSync
  readonly #any: StatementSync
  readonly #anyReady: StatementSync
  readonly #forgetPriority: StatementSync
  readonly #forgetGroup: StatementSync
  readonly #forgetDedup: StatementSync
  readonly #page: StatementSync
  readonly #waiting: StatementSync
  #nextSeq: number | undefined

  constructor(db: DatabaseSync) {
    this.dedup = new DedupKeys(db)
    this.flows = new Flows(db)
    this.progress = new Progress(db)
    // Numbers of tasks that are gone may come again, but not to one that a live lease names: tokens only rise.
    this.#last = db.prepare(
      'SELECT max(coalesce((SELECT max(seq) FROM task), 0), (SELECT tasks FROM queue_numbers)) AS seq',
    )
    this.#insert = db.prepare(
      `INSERT INTO task (seq, queue, state, due, not_before, priority, grp, lane, turn, dedup, flow, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#row = db.prepare(`SELECT ${columns} FROM task WHERE seq = ?`)
    this.#data = db.prepare('SELECT data FROM task WHERE seq = ?')
    this.#laneFirst = db.prepare(
      `SELECT ${columns} FROM task WHERE queue = ? AND lane = ? ORDER BY turn, seq LIMIT 1`,
    )
    this.#firstTurn = db.prepare(
      'SELECT coalesce(min(turn), 0) - 1 AS turn FROM task WHERE queue = ? AND lane = ? AND turn < 0 AND waits = 1',
    )
    this.#giveWay = db.prepare('UPDATE task SET state = 3 WHERE seq = ?')
    this.#place = db.prepare(
      `UPDATE task SET state = ?, due = ?, not_before = ?, token = 0, starts = ?, suspect = ?, history = ? WHERE seq = ?`,
    )
    this.#delete = db.prepare('DELETE FROM task WHERE seq = ?')
    this.#due = db.prepare(
      `SELECT ${columns} FROM task WHERE queue = ? AND due <= ? ORDER BY due LIMIT ${dueAtOnce}`,
    )
    this.#promote = db.prepare('UPDATE task SET state = 0, due = NULL, token = 0, suspect = ? WHERE seq = ?')
    this.#firstDue = db.prepare('SELECT min(due) AS due FROM task WHERE queue = ? AND due IS NOT NULL')
    this.#lease = db.prepare(
      'UPDATE task SET state = 2, due = ?, token = ?, starts = starts + 1 WHERE seq = ?',
    )
    this.#setWaits = db.prepare(
      'UPDATE task SET waits = 1, due = NULL, state = iif(state = 3, 3, 4) WHERE seq = ?',
    )
    this.#letGo = db.prepare('UPDATE task SET waits = 0, orphan = ? WHERE seq = ?')
    this.#head = db.prepare('UPDATE task SET state = 4, due = NULL WHERE seq = ?')
    this.#allWaiting = db.prepare('SELECT seq FROM task WHERE queue = ? AND waits = 1')
    this.#extend = db.prepare('UPDATE task SET due = ? WHERE seq = ?')
    this.#cancel = db.prepare('UPDATE task SET cancelled = 1 WHERE seq = ?')
    this.#count = db.prepare(
      `SELECT count(*) FILTER (WHERE state = 0 OR state = 3 AND waits = 0 AND not_before <= ?1 OR due <= ?1 AND cancelled = 0) AS ready,
              count(*) FILTER (WHERE state = 1 AND due > ?1 OR state = 3 AND waits = 0 AND not_before > ?1) AS delayed,
              count(*) FILTER (WHERE waits = 1) AS waiting,
              count(*) FILTER (WHERE state = 2 AND due > ?1) AS leased
       FROM task WHERE queue = ?2`,
    )
    this.#any = db.prepare('SELECT 1 AS one FROM task WHERE queue = ? LIMIT 1')
    this.#forgetPriority = db.prepare('UPDATE task SET priority = 0 WHERE queue = ? AND priority <> 0')
    this.#forgetGroup = db.prepare(`UPDATE task SET grp = '' WHERE queue = ? AND grp <> ''`)
    this.#forgetDedup = db.prepare('UPDATE task SET dedup = NULL WHERE queue = ? AND dedup IS NOT NULL')
    this.#anyReady = db.prepare('SELECT 1 AS one FROM task WHERE queue = ? AND state = 0 LIMIT 1')
    this.#page = db.prepare(
      `SELECT ${columns}, data FROM task WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?`,
    )
    this.#waiting = db.prepare(
      `SELECT ${columns} FROM task WHERE queue = ? AND seq <= ? AND NOT (state = 2 AND due > ?) ORDER BY seq LIMIT ?`,
    )
  }

  /** Stores a message at the end of its queue. */
  add(
    queue: number,
    carried: Carried,
    notBefore: number,
    now: number,
    dedup: string | null,
    data: Uint8Array,
  ): number {
    this.#nextSeq ??= Math.max(firstTask, this.last() + 1)
    const seq = this.#nextSeq++
    const { priority, group, lane, flow } = carried
    const turn = lane !== null && flow !== null && this.flows.isWaitedFor(flow) ? this.#turn(queue, lane) : 0
    const behind = lane !== null && this.#isBehind(queue, lane, turn)
    const waits = notBefore > now
    const state = behind ? taskState.behind : waits ? taskState.waiting : taskState.ready
    const due = state === taskState.waiting ? notBefore : null
    this.#insert.run(seq, queue, state, due, notBefore, priority, group, lane, turn, dedup, flow, data)
    return seq
  }

  /**
   * Of one that others wait for: before those of its key that came in their turn, since one of them may be who waits; behind those that came so
   * before it, unless they wait too.
   */
  #turn(queue: number, lane: string): number {
    return Number(this.#firstTurn.get(queue, lane)!.turn)
  }

  /** Whether another one is the head of the line. One that waits for others gives way to one that comes before it. */
  #isBehind(queue: number, lane: string, turn: number): boolean {
    const first = this.#laneFirst.get(queue, lane) as unknown as TaskRow | undefined
    if (first === undefined) return false
    if (turn === 0 || first.state !== taskState.others) return true
    this.#giveWay.run(first.seq)
    return false
  }

  /** It was just added, and is to wait for others. */
  waitFor(seq: number, after: FlowAfter, now: number): void {
    const how = this.flows.wait(seq, after, now)
    if (how === 'waits') this.#setWaits.run(seq)
    else if (how === 'orphan') this.#letGo.run(1, seq)
  }

  /** A dead letter was removed. */
  deadGone(flow: string, now: number): void {
    this.#endFlow(flow, flowEnd.gone, now)
  }

  /** A message was not stored, because another one has its deduplication key. */
  duplicate(id: string, holder: string, now: number): void {
    this.flows.duplicate(id, holder, now, (seq, orphan) => this.#goOn(seq, orphan, now))
  }

  #endFlow(flow: string, how: FlowEnd, now: number): void {
    this.flows.ended(flow, how, now, (seq, orphan) => this.#goOn(seq, orphan, now))
  }

  /** It waits for others no more. */
  #goOn(seq: number, orphan: boolean, now: number): void {
    this.#letGo.run(orphan ? 1 : 0, seq)
    const row = this.row(seq)!
    if (row.state === taskState.others) this.putBack(row, row.notBefore, now)
    this.flows.woken.add(row.queue)
  }

  row(seq: number): TaskRow | undefined {
    return this.#row.get(seq) as TaskRow | undefined
  }

  /** The bytes of its record, valid until the next call. */
  data(seq: number): Uint8Array {
    return this.#data.get(seq)!.data as Uint8Array
  }

  /**
   * Those whose lease or waiting has ended become ready, some thousands at once; those that were cancelled meanwhile end. The others
   * are still due: who looks when the next one is due comes again at once, and their places count as taken until then.
   */
  promote(queue: number, now: number): void {
    for (const row of this.#due.all(queue, now) as unknown as TaskRow[]) {
      if (row.cancelled === 1) this.end(row, flowEnd.gone, now)
      else this.#promote.run(row.state === taskState.leased ? 1 : row.suspect, row.seq)
    }
  }

  lease(seq: number, token: number, due: number): void {
    this.#lease.run(due, token, seq)
  }

  /** Live, and of this queue and token; undefined for any other. */
  leased(queue: number, seq: number, token: number): TaskRow | undefined {
    const row = this.row(seq)
    return row?.queue === queue && row.state === taskState.leased && row.token === token ? row : undefined
  }

  extend({ seq }: TaskRow, due: number): void {
    this.#extend.run(due, seq)
  }

  /** Its lease is over, and it stays: from `notBefore` on. It keeps its place in the order of its key. */
  putBack({ seq, starts, suspect, history }: TaskRow, notBefore: number, now: number): void {
    const waits = notBefore > now
    const state = waits ? taskState.waiting : taskState.ready
    this.#place.run(state, waits ? notBefore : null, notBefore, starts, suspect, history, seq)
  }

  /** It is gone from the queue: its key is free, and the next one of its order may be claimed. */
  end({ seq, queue, lane, dedup, state, flow, waits }: TaskRow, how: FlowEnd, now: number): void {
    this.#delete.run(seq)
    if (dedup !== null) this.dedup.free(queue, dedup, seq)
    this.progress.gone(queue, seq, seq)
    if (waits === 1) this.flows.stop(seq)
    if (flow !== null) this.#endFlow(flow, how, now)
    if (lane === null || state === taskState.behind) return
    const next = this.#laneFirst.get(queue, lane) as unknown as TaskRow | undefined
    if (next === undefined || next.state !== taskState.behind) return
    if (next.waits === 1) this.#head.run(next.seq)
    else this.putBack(next, next.notBefore, now)
  }

  /** Gone at once when nobody holds it, else when its lease ends. */
  cancel(row: TaskRow, now: number): 'removed' | 'signalled' {
    if (row.state === taskState.leased && row.due! > now) {
      this.#cancel.run(row.seq)
      return 'signalled'
    }
    this.end(row, flowEnd.gone, now)
    return 'removed'
  }

  /** Rules changed: what tasks carry for one that is gone counts for nothing. */
  forgetCarried(queue: number, { priority, groups, dedup, flow }: QueueRules, now: number): void {
    if (!flow)
      for (const { seq } of this.#allWaiting.all(queue) as { seq: number }[]) {
        this.flows.stop(seq)
        this.#goOn(seq, false, now)
      }
    if (!priority) this.#forgetPriority.run(queue)
    if (!groups) this.#forgetGroup.run(queue)
    if (!dedup) this.#forgetDedup.run(queue)
    if (!dedup) this.dedup.forget(queue)
  }

  firstDue(queue: number): number {
    return (this.#firstDue.get(queue)!.due as number | null) ?? Number.POSITIVE_INFINITY
  }

  any(queue: number): boolean {
    return this.#any.get(queue) !== undefined
  }

  anyReady(queue: number): boolean {
    return this.#anyReady.get(queue) !== undefined
  }

  /** No task has a higher number, or had one when the last purge began; 0 without any. */
  last(): number {
    return Number(this.#last.get()!.seq)
  }

  count(queue: number, now: number): { ready: number; delayed: number; waiting: number; leased: number } {
    const { ready, delayed, waiting, leased } = this.#count.get(now, queue)!
    return {
      ready: Number(ready),
      delayed: Number(delayed),
      waiting: Number(waiting),
      leased: Number(leased),
    }
  }

  /** One after the other: whoever has seen enough stops. */
  page(queue: number, after: number, limit: number): Iterable<TaskRow & { readonly data: Uint8Array }> {
    return this.#page.iterate(queue, after, limit) as Iterable<unknown> as Iterable<
      TaskRow & { readonly data: Uint8Array }
    >
  }

  /** Up to `limit` tasks that nobody holds, up to a number. */
  waiting(queue: number, last: number, now: number, limit: number): TaskRow[] {
    return this.#waiting.all(queue, last, now, limit) as unknown as TaskRow[]
  }

  forget(): void {
    this.progress.forget()
    this.flows.woken.clear()
    this.#nextSeq = undefined
  }
}

const keptFailures = 10

/** The history of a message with one more failure. */
export function withFailure(history: string | null, start: number, at: number, reason: string): string {
  const failures: FailedStart[] = history === null ? [] : JSON.parse(history)
  return JSON.stringify([...failures, { start, at, reason }].slice(-keptFailures))
}
