// The schedules of the queues. A schedule's due time moves on in the transaction that stores what it sends.
import type { SpillwayError } from '../../core/errors.ts'
import {
  maxDueSchedules,
  maxSchedules,
  notForward,
  type ScheduleChange,
  type ScheduleList,
  type StoredSchedule,
  tooManySchedules,
  type WhichSchedules,
} from '../../ports/queue-schedules.ts'
import type { Connection, Run, Statement } from './connection.ts'

type Name = 'due' | 'all' | 'named' | 'now' | 'find' | 'count' | 'add' | 'change' | 'remove'

interface Row extends Omit<StoredSchedule, 'last'> {
  readonly last: number | null
}

function statements(schema: string): Record<Name, Statement> {
  const columns = 's.name, s.spec, s.due::float8, s.last::float8, s.version::float8'
  const texts: Record<Name, string> = {
    all: `select ${columns} from ${schema}.schedule s where s.queue = $1 order by s.name`,
    named: `select ${columns} from ${schema}.schedule s where s.queue = $1 and s.name = $2`,
    due: `select ${columns} from ${schema}.schedule s
where s.queue = $1 and s.due <= $2::bigint and s.version <> all($3::bigint[])
  and not (select q.paused from ${schema}.queue q where q.id = $1)
order by s.due limit ${maxDueSchedules}`,
    now: `select t.now::float8, (
  select min(s.due)::float8 from ${schema}.schedule s where s.queue = $1 and s.due > t.now
    and not (select q.paused from ${schema}.queue q where q.id = $1)
) as next_due
from (select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now) t`,
    find: `select s.last::float8, s.version::float8 from ${schema}.schedule s where s.queue = $1 and s.name = $2 for update`,
    count: `select count(*)::int as count from ${schema}.schedule s where s.queue = $1`,
    add: `insert into ${schema}.schedule (queue, name, due, last, spec) values ($1, $2, $3, $4, $5)
on conflict do nothing returning version::float8`,
    change: `update ${schema}.schedule set version = default, due = $3, last = $4, spec = $5
where queue = $1 and name = $2`,
    remove: `delete from ${schema}.schedule where queue = $1 and name = $2 returning name`,
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { name: `spillway_schedule_${name}`, text }]),
  ) as Record<Name, Statement>
}

export class Schedules {
  readonly #connection: Connection
  readonly #sql: Record<Name, Statement>

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#sql = statements(schema)
  }

  async list(queue: number, which: WhichSchedules): Promise<ScheduleList> {
    const times = await this.#connection.run<{ now: number; next_due: number | null }>(this.#sql.now, [queue])
    const { now, next_due } = times[0]!
    const rows = await this.#rows(queue, which, now)
    const schedules = rows.map((row) => ({ ...row, last: row.last ?? undefined }))
    return { now, nextDue: next_due ?? undefined, schedules }
  }

  #rows(queue: number, which: WhichSchedules, now: number): Promise<Row[]> {
    if (which === 'all') return this.#connection.run(this.#sql.all, [queue])
    if (typeof which === 'object' && 'name' in which)
      return this.#connection.run(this.#sql.named, [queue, which.name])
    const besides = which === 'due' ? [] : which.dueBesides
    return this.#connection.run(this.#sql.due, [queue, now, `{${besides.join()}}`])
  }

  /** `send` stores what it sends with the given `run`; 'outdated' when it stored nothing, since the queue has other rules. */
  async put(
    queue: number,
    change: ScheduleChange,
    send: (run: Run) => Promise<unknown>,
  ): Promise<'stored' | 'stale' | 'outdated'> {
    const { version } = change
    // What is refused is a value in there: whatever is thrown costs the connection.
    const answer = await this.#connection.transaction((run) =>
      version === undefined
        ? this.#add(run, queue, change, send)
        : this.#change(run, queue, { ...change, version }, send),
    )
    if (typeof answer === 'function') throw answer()
    return answer
  }

  async remove(queue: number, name: string): Promise<boolean> {
    return (await this.#connection.run(this.#sql.remove, [queue, name])).length > 0
  }

  async #add(
    run: Run,
    queue: number,
    { name, spec, due, last }: ScheduleChange,
    send: (run: Run) => Promise<unknown>,
  ): Promise<Put> {
    const [counted] = await run<{ count: number }>(this.#sql.count, [queue])
    const added = await run(this.#sql.add, [queue, name, due, last ?? null, spec])
    if (added.length === 0) return 'stale'
    const full = counted!.count >= maxSchedules
    if (!full && (await send(run)) !== 'outdated') return 'stored'
    await run(this.#sql.remove, [queue, name])
    return full ? () => tooManySchedules('postgres', name) : 'outdated'
  }

  async #change(
    run: Run,
    queue: number,
    { name, spec, due, last, version }: ScheduleChange,
    send: (run: Run) => Promise<unknown>,
  ): Promise<Put> {
    const [known] = await run<{ last: number | null; version: number }>(this.#sql.find, [queue, name])
    if (known === undefined || known.version !== version) return 'stale'
    const lastOfAll = last ?? known.last
    if (lastOfAll !== null && due <= lastOfAll) return () => notForward('postgres', name, due, lastOfAll)
    if ((await send(run)) === 'outdated') return 'outdated'
    await run(this.#sql.change, [queue, name, due, lastOfAll, spec])
    return 'stored'
  }
}

/** A function makes the error with which it was refused. */
type Put = 'stored' | 'stale' | 'outdated' | (() => SpillwayError)
