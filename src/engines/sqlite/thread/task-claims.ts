// Which tasks a claim gets: the highest priority first, groups in turns, as many as concurrency leaves.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { maxPriority } from '../../../ports/queue-rules.ts'
import type { RuleState } from './task-rules.ts'

export interface Candidate {
  readonly seq: number
  readonly priority: number
  readonly grp: string
  readonly starts: number
  readonly suspect: number
  readonly orphan: number
}

/** What was sent before there were rules: it has no group, no priority, and comes before the tasks without a group. */
export interface Unruled {
  any(): boolean
  leased(): number
  /** Leases one; returns whether another one is wanted. */
  takeOne(): boolean
}

export class TaskClaims {
  readonly #inOrder: StatementSync
  readonly #nextLevel: StatementSync
  readonly #nextGroup: StatementSync
  readonly #leased: StatementSync
  readonly #leasedOfGroup: StatementSync

  constructor(db: DatabaseSync) {
    const fields = 'seq, priority, grp, starts, suspect, orphan'
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
   * Offers ready tasks of these priorities one after another, each once; `take` leases one, and returns whether another one
   * is wanted.
   */
  inOrder(queue: number, from: number, to: number, limit: number, take: (task: Candidate) => boolean): void {
    for (const task of this.#inOrder.all(queue, from, to, limit) as unknown as Candidate[])
      if (!take(task)) return
  }

  /** The same for all priorities, with turns between the groups. */
  inTurns(state: RuleState, take: (task: Candidate) => boolean, unruled: Unruled): void {
    const { queue } = state
    const room = new Map<string, number>()
    for (let top = maxPriority; ; ) {
      const level = this.#level(queue, top, unruled)
      if (level === undefined) return
      // Once round without taking anything: all groups of this level are full, or none has anything left.
      for (let took = true; took; ) {
        took = false
        // From the group after the one that was served last to the end, then from the beginning up to it.
        const stop = state.turns[level] ?? ''
        for (const half of ['after', 'up to'] as const) {
          let at = half === 'after' ? after(stop) : ''
          if (half === 'up to' && level === 0 && unruled.any()) {
            const left = room.get('') ?? this.#roomOf(state, '', unruled)
            room.set('', Math.max(0, left - 1))
            at = after('')
            if (left > 0) {
              state.turns[level] = ''
              state.changed = true
              took = true
              if (!unruled.takeOne()) return
            }
          }
          for (;;) {
            const task = this.#nextGroup.get(queue, level, at) as unknown as Candidate | undefined
            if (task === undefined || (half === 'up to' && task.grp > stop)) break
            const { grp } = task
            at = after(grp)
            const left = room.get(grp) ?? this.#roomOf(state, grp, unruled)
            if (left <= 0) {
              room.set(grp, 0)
              continue
            }
            room.set(grp, left - 1)
            state.turns[level] = grp
            state.changed = true
            took = true
            if (!take(task)) return
          }
        }
      }
      top = level - 1
    }
  }

  /** The highest priority up to `top` that has something ready. */
  #level(queue: number, top: number, unruled: Unruled): number | undefined {
    const level = this.#nextLevel.get(queue, -maxPriority, top)?.priority as number | undefined
    return top >= 0 && (level ?? -1) < 0 && unruled.any() ? 0 : level
  }

  #roomOf({ queue, rules }: RuleState, group: string, unruled: Unruled): number {
    const most = rules.groups?.concurrency
    if (most === undefined) return Number.POSITIVE_INFINITY
    const others = group === '' ? unruled.leased() : 0
    return most - others - Number(this.#leasedOfGroup.get(queue, group)!.n)
  }
}

/** The first text that sorts after this one. */
function after(text: string): string {
  return `${text}\0`
}
