// The schedules of the queues. What a schedule sends is stored in the transaction in which its due time moves on.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  maxDueSchedules,
  maxSchedules,
  notForward,
  type ScheduleList,
  type StoredSchedule,
  tooManySchedules,
  type WhichSchedules,
} from '../../../ports/queue-schedules.ts'
import type { Answers, WriteOperation } from '../wire.ts'

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

export class Schedules {
  readonly #find: StatementSync
  readonly #count: StatementSync
  readonly #insert: StatementSync
  readonly #remove: StatementSync
  readonly #all: StatementSync
  readonly #named: StatementSync
  readonly #due: StatementSync
  readonly #nextDue: StatementSync

  constructor(db: DatabaseSync) {
    const columns = 'name, spec, due, last, version'
    this.#find = db.prepare('SELECT last, version FROM queue_schedule WHERE queue = ? AND name = ?')
    this.#count = db.prepare('SELECT count(*) AS n FROM queue_schedule WHERE queue = ?')
    this.#insert = db.prepare(
      'INSERT OR REPLACE INTO queue_schedule (queue, name, due, last, spec) VALUES (?, ?, ?, ?, ?)',
    )
    this.#remove = db.prepare('DELETE FROM queue_schedule WHERE queue = ? AND name = ?')
    this.#all = db.prepare(`SELECT ${columns} FROM queue_schedule WHERE queue = ? ORDER BY name`)
    this.#named = db.prepare(`SELECT ${columns} FROM queue_schedule WHERE queue = ? AND name = ?`)
    this.#due = db.prepare(
      `SELECT ${columns} FROM queue_schedule
       WHERE queue = ? AND due <= ? AND version NOT IN (SELECT value FROM json_each(?))
       ORDER BY due LIMIT ${maxDueSchedules}`,
    )
    this.#nextDue = db.prepare('SELECT min(due) AS due FROM queue_schedule WHERE queue = ? AND due > ?')
  }

  list(queue: number, which: WhichSchedules, now: number, paused: boolean): ScheduleList {
    const rows = this.#rows(queue, which, now, paused)
    const schedules = rows.map((row) => ({ ...row, last: row.last ?? undefined }) as StoredSchedule)
    const nextDue = paused ? undefined : ((this.#nextDue.get(queue, now)!.due as number | null) ?? undefined)
    return { now, nextDue, schedules }
  }

  #rows(queue: number, which: WhichSchedules, now: number, paused: boolean): Record<string, unknown>[] {
    if (which === 'all') return this.#all.all(queue)
    if (typeof which === 'object' && 'name' in which) return this.#named.all(queue, which.name)
    const besides = which === 'due' ? [] : which.dueBesides
    return paused ? [] : this.#due.all(queue, now, JSON.stringify(besides))
  }

  /** `send` stores what it sends, or answers 'outdated' before it does anything. */
  put(
    { queue, name, spec, due, last, version }: Of<'putSchedule'>,
    send: () => Answers['send'],
  ): Answers['putSchedule'] {
    const known = this.#find.get(queue, name) as { last: number | null; version: number } | undefined
    if ((known?.version ?? null) !== version) return 'stale'
    const lastOfAll = last ?? known?.last ?? null
    if (lastOfAll !== null && due <= lastOfAll) throw notForward('sqlite', name, due, lastOfAll)
    if (known === undefined && Number(this.#count.get(queue)!.n) >= maxSchedules)
      throw tooManySchedules('sqlite', name)
    if (send() === 'outdated') return 'outdated'
    this.#insert.run(queue, name, due, lastOfAll, spec)
    return 'stored'
  }

  remove(queue: number, name: string): boolean {
    return Number(this.#remove.run(queue, name).changes) > 0
  }
}
