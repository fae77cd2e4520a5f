// Which tasks wait for which messages, over all queues of the file, and how those ended that may be waited for.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { flowMemoryMs, unknownMessage } from '../../../ports/queue-rules.ts'
import type { TaskExtras } from '../wire.ts'

/** How a message ended: a dead letter may come back, one that was cancelled or purged is gone. */
export const flowEnd = { done: 0, dead: 1, gone: 2 } as const
export type FlowEnd = (typeof flowEnd)[keyof typeof flowEnd]

/** How many ends that nobody needs to remember are forgotten with each that is added. */
const forgottenAtOnce = 10
/** Dead letters are known for as long as they are there. */
const always = Number.MAX_SAFE_INTEGER

/** What a task waits for, as the sender said it. */
export type FlowAfter = NonNullable<TaskExtras[5]>

export class Flows {
  /** Queues in which something was let go, since somebody asked. */
  readonly woken: Set<number> = new Set()
  readonly #end: StatementSync
  readonly #setEnd: StatementSync
  readonly #revive: StatementSync
  readonly #forget: StatementSync
  readonly #live: StatementSync
  readonly #holder: StatementSync
  readonly #standIn: StatementSync
  readonly #standIns: StatementSync
  readonly #dropStandIn: StatementSync
  readonly #wait: StatementSync
  readonly #waiters: StatementSync
  readonly #stop: StatementSync
  readonly #left: StatementSync
  readonly #dropWait: StatementSync
  readonly #waitsFor: StatementSync
  readonly #waitedFor: StatementSync

  constructor(db: DatabaseSync) {
    this.#end = db.prepare('SELECT how FROM flow_end WHERE id = ? AND until > ?')
    // What was done stays done, whatever becomes of another message with the same id.
    this.#setEnd = db.prepare(
      `INSERT INTO flow_end (id, how, until) VALUES (?1, ?2, ?3)
       ON CONFLICT DO UPDATE SET how = ?2, until = ?3 WHERE how <> ${flowEnd.done} OR ?2 = ${flowEnd.done} OR until <= ?4`,
    )
    this.#revive = db.prepare(`DELETE FROM flow_end WHERE id = ? AND how = ${flowEnd.dead}`)
    this.#forget = db.prepare(
      `DELETE FROM flow_end WHERE id IN (SELECT id FROM flow_end WHERE until <= ? ORDER BY until LIMIT ${forgottenAtOnce})`,
    )
    this.#live = db.prepare('SELECT 1 AS one FROM task WHERE flow = ? LIMIT 1')
    this.#holder = db.prepare('SELECT holder FROM flow_stand_in WHERE id = ?')
    this.#standIn = db.prepare('INSERT OR REPLACE INTO flow_stand_in (id, holder) VALUES (?, ?)')
    this.#standIns = db.prepare('SELECT id FROM flow_stand_in WHERE holder = ?')
    this.#dropStandIn = db.prepare('DELETE FROM flow_stand_in WHERE id = ?')
    this.#wait = db.prepare('INSERT INTO flow_wait (id, seq, any_end) VALUES (?, ?, ?)')
    this.#waiters = db.prepare('SELECT seq, any_end AS anyEnd FROM flow_wait WHERE id = ?')
    this.#stop = db.prepare('DELETE FROM flow_wait WHERE seq = ?')
    this.#left = db.prepare('SELECT 1 AS one FROM flow_wait WHERE seq = ? LIMIT 1')
    this.#dropWait = db.prepare('DELETE FROM flow_wait WHERE id = ? AND seq = ?')
    this.#waitedFor = db.prepare(
      `SELECT 1 AS one FROM flow_wait
       WHERE id = ?1 OR id IN (SELECT id FROM flow_stand_in WHERE holder = ?1) LIMIT 1`,
    )
    this.#waitsFor = db.prepare('SELECT id FROM flow_wait WHERE seq = ? LIMIT 10')
  }

  /** Throws UNKNOWN_MESSAGE for what one of the messages of a call may not wait for. */
  check(messages: Iterable<readonly [id: string, after: FlowAfter | null]>, now: number): void {
    const before = new Set<string>()
    for (const [id, after] of messages) {
      if (after !== null && !after[2])
        for (const other of after[0])
          if (!before.has(other) && this.#state(other, now) === 'unknown')
            throw unknownMessage('sqlite', other)
      before.add(id)
    }
  }

  /** Notes what a task waits for; 'orphan' when it does so in vain, 'nothing' when it need not wait. */
  wait(seq: number, [ids, anyEnd]: FlowAfter, now: number): 'waits' | 'orphan' | 'nothing' {
    const open: string[] = []
    for (const id of new Set(ids)) {
      const state = this.#state(id, now)
      if (state === flowEnd.gone && !anyEnd) return 'orphan'
      if (state !== flowEnd.done && state !== flowEnd.gone && !(state === flowEnd.dead && anyEnd))
        open.push(id)
    }
    for (const id of open) this.#wait.run(id, seq, anyEnd ? 1 : 0)
    return open.length > 0 ? 'waits' : 'nothing'
  }

  /** The task is gone, or need not wait any more. */
  stop(seq: number): void {
    this.#stop.run(seq)
  }

  /** Some of those that it still waits for. */
  waitsFor(seq: number): string[] {
    return this.#waitsFor.all(seq).map(({ id }) => String(id))
  }

  /** Whether somebody waits for this message, or for one whose end is its end. */
  isWaitedFor(id: string): boolean {
    return this.#waitedFor.get(id) !== undefined
  }

  /** A message was not stored, because another one has its key: how that one ends is its end. */
  duplicate(id: string, holder: string, now: number, letGo: LetGo): void {
    if (id === holder) return
    const state = this.#state(holder, now)
    if (state === 'live' || state === flowEnd.dead) this.#standIn.run(id, holder)
    else this.#ended(id, state === flowEnd.gone ? flowEnd.gone : flowEnd.done, now, letGo)
  }

  /** A message ended. `letGo` is told of every task that waits for nothing any more. */
  ended(id: string, how: FlowEnd, now: number, letGo: LetGo): void {
    this.#ended(id, how, now, letGo)
    for (const { id: other } of this.#standIns.all(id)) {
      if (how !== flowEnd.dead) this.#dropStandIn.run(other!)
      this.#ended(String(other), how, now, letGo)
    }
    this.#forget.run(now)
  }

  /** A dead letter came back. */
  revived(id: string): void {
    this.#revive.run(id)
  }

  #ended(id: string, how: FlowEnd, now: number, letGo: LetGo): void {
    if (this.#end.get(id, now)?.how === flowEnd.done) return
    this.#setEnd.run(id, how, how === flowEnd.dead ? always : now + flowMemoryMs, now)
    for (const { seq, anyEnd } of this.#waiters.all(id) as { seq: number; anyEnd: number }[]) {
      if (how === flowEnd.dead && anyEnd === 0) continue
      const orphan = how === flowEnd.gone && anyEnd === 0
      if (orphan) this.#stop.run(seq)
      else this.#dropWait.run(id, seq)
      if (orphan || this.#left.get(seq) === undefined) letGo(seq, orphan)
    }
  }

  #state(id: string, now: number): FlowEnd | 'live' | 'unknown' {
    const end = this.#end.get(id, now)
    if (end !== undefined) return end.how as FlowEnd
    if (this.#live.get(id) !== undefined) return 'live'
    const holder = this.#holder.get(id)?.holder as string | undefined
    return holder === undefined ? 'unknown' : this.#state(holder, now)
  }
}

type LetGo = (seq: number, orphan: boolean) => void
