// Which tasks a claim gets: the highest priority first, groups in turns, as many as concurrency leaves.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RuleState } from './task-rules.ts'

export interface Candidate {
  readonly seq: number
  readonly priority: number
  readonly grp: string
  readonly starts: number
  readonly suspect: number
}

export class TaskClaims {
  readonly #inOrder: StatementSync
  readonly #nextLevel: StatementSync
  readonly #nextGroup: StatementSync
  readonly #leased: StatementSync
  readonly #leasedOfGroup: StatementSync

  constructor(db: DatabaseSync) {
    const fields = 'seq, priority, grp, starts, suspect'
    this.#inOrder = db.prepare(
      `SELECT ${fields} FROM task WHERE queue = ? AND state = 0 AND priority BETWEEN ? AND ?
       ORDER BY priority DESC, grp, seq LIMIT ?`,
    )
    this.#nextLevel = db.prepare(
      `SELECT priority FROM task WHERE queue = ? AND state = 0 AND priority BETWEEN ? AND ?
       ORDER BY priority DESC LIMIT 1`,
    )
    this.#nextGroup = db.prepare(
      `SELECT ${fields} FROM task WHERE queue = ? AND state = 0 AND priority = ? AND grp >= ? ORDER BY grp, seq LIMIT 1`,
    )
    this.#leased = db.prepare('SELECT count(*) AS n FROM task WHERE queue = ? AND state = 2')
    this.#leasedOfGroup = db.prepare(
      'SELECT count(*) AS n FROM task WHERE queue = ? AND state = 2 AND grp = ?',
    )
  }

  /** How many tasks of the queue are leased. Those whose lease has ended were made ready before. */
  leased(queue: number): number {
    return Number(this.#leased.get(queue)!.n)
  }

  /**
   * Offers ready tasks of these priorities one after another, each once; `take` leases one, and says whether it wants
   * another.
   */
  offer(state: RuleState, from: number, to: number, limit: number, take: (task: Candidate) => boolean): void {
    if (state.rules.groups !== undefined) this.#inTurns(state, from, to, take)
    else
      for (const task of this.#inOrder.all(state.queue, from, to, limit) as unknown as Candidate[])
        if (!take(task)) return
  }

  #inTurns(state: RuleState, from: number, to: number, take: (task: Candidate) => boolean): void {
    const { queue } = state
    const room = new Map<string, number>()
    for (let top = to; ; ) {
      const level = this.#nextLevel.get(queue, from, top)?.priority as number | undefined
      if (level === undefined) return
      // Once round without taking anything: all groups of this level are full, or none has anything left.
      for (let took = true; took; ) {
        took = false
        // From the group after the one that was served last to the end, then from the beginning up to it.
        const stop = state.turn
        for (const half of ['after', 'up to'] as const) {
          let at = half === 'after' ? after(stop) : ''
          for (;;) {
            const task = this.#nextGroup.get(queue, level, at) as unknown as Candidate | undefined
            if (task === undefined || (half === 'up to' && task.grp > stop)) break
            const { grp } = task
            at = after(grp)
            const left = room.get(grp) ?? this.#roomOf(state, grp)
            if (left <= 0) {
              room.set(grp, 0)
              continue
            }
            room.set(grp, left - 1)
            state.turn = grp
            state.changed = true
            took = true
            if (!take(task)) return
          }
        }
      }
      if (level === from) return
      top = level - 1
    }
  }

  #roomOf({ queue, rules }: RuleState, group: string): number {
    const most = rules.groups?.concurrency
    if (most === undefined) return Number.POSITIVE_INFINITY
    return most - Number(this.#leasedOfGroup.get(queue, group)!.n)
  }
}

/** The first text that sorts after this one. */
function after(text: string): string {
  return `${text}\0`
}
