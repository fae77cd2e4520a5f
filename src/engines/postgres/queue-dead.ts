// The dead letters of queues, with or without rules, and how many messages there are.
import { SpillwayError } from '../../core/errors.ts'
import type { DeadMessage, FailedStart, QueueCount } from '../../ports/queue.ts'
import { int8Array } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'

interface Row {
  readonly handle: string
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly reason: string
  readonly starts: number
  readonly died_at: number
  readonly history: readonly FailedStart[] | null
}

/** A page ends with the row that makes it so many bytes. */
export const pageBytes: number = 8 * 2 ** 20

type Counts = Record<'fresh' | 'due' | 'delayed' | 'waiting' | 'leased' | 'dead', number> & {
  readonly paused: boolean
}

function statements(schema: string): Record<'count' | 'dead' | 'redrive', Statement> {
  const held = 'm.leased and m.due_at > now()'
  const leases = `${schema}.lease l where l.queue = $1 and l.due_at > now()`
  return {
    count: {
      name: 'spillway_count',
      text: `select
  (select count(*) from ${schema}.message m where queue = $1 and due_at is null)::float8
    - (select coalesce(sum(l.held), 0) from ${leases})::float8
    - (select count(*) from ${schema}.message m where queue = $1 and cancelled
        and id not in (select unnest(l.ids) from ${leases}))::float8
    + (select count(*) from ${schema}.task m where queue = $1 and due_at is null and not behind)::float8 as fresh,
  (select count(*) from ${schema}.message m where queue = $1 and due_at <= now())::float8
    + (select count(*) from ${schema}.task m where queue = $1 and due_at <= now() and not behind and not cancelled)::float8
    + (select count(*) from ${schema}.task m where queue = $1 and laned and behind and waits = 0
        and (due_at is null or due_at <= now()))::float8 as due,
  (select count(*) from ${schema}.message m where queue = $1 and due_at > now())::float8
    + (select count(*) from ${schema}.task m where queue = $1 and due_at > now() and not leased and not behind)::float8
    + (select count(*) from ${schema}.task m where queue = $1 and laned and behind and waits = 0 and due_at > now())::float8 as delayed,
  (select count(*) from ${schema}.task where queue = $1 and waits > 0)::float8 as waiting,
  (select coalesce(sum(l.held), 0) from ${leases})::float8
    + (select count(*) from ${schema}.task m where queue = $1 and ${held} and not behind)::float8 as leased,
  (select count(*) from ${schema}.dead_letter where queue = $1)::float8 as dead,
  (select paused from ${schema}.queue where id = $1) as paused`,
    },
    dead: {
      name: 'spillway_dead_letters',
      text: `select handle::text, message_id, key, body, reason, starts, history,
  floor(extract(epoch from died_at) * 1000)::float8 as died_at
from (
  select d.*, sum(octet_length(d.body)) over (order by d.handle) - octet_length(d.body) as bytes_before
  from (select * from ${schema}.dead_letter o where o.queue = $1 and o.handle > $2 order by o.handle limit $3) d
) d where d.bytes_before < ${pageBytes} order by d.handle`,
    },
    redrive: {
      name: 'spillway_redrive',
      text: `select redrive as count from ${schema}.redrive($1, $2)`,
    },
  }
}

export class DeadLetters {
  readonly #connection: Connection
  readonly #sql: Record<'count' | 'dead' | 'redrive', Statement>

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#sql = statements(schema)
  }

  async count(queue: number): Promise<QueueCount> {
    const rows = await this.#connection.run<Counts>(this.#sql.count, [queue])
    const { fresh, due, delayed, waiting, leased, dead, paused } = rows[0]!
    return { ready: fresh + due, delayed, waiting, leased, dead, paused }
  }

  async list(queue: number, limit: number, after: number): Promise<DeadMessage[]> {
    const rows = await this.#connection.run<Row>(this.#sql.dead, [queue, after, limit])
    return rows.map((row) => ({
      handle: row.handle,
      id: row.message_id,
      key: row.key ?? undefined,
      body: row.body,
      reason: row.reason,
      starts: row.starts,
      diedAt: row.died_at,
      history: row.history ?? [],
    }))
  }

  /** Handles that are none are passed over. */
  async redrive(queue: number, handles: readonly string[]): Promise<number> {
    const known = handles.map(readHandle).filter((handle) => handle !== undefined)
    const rows = await this.#connection.run<{ count: number }>(this.#sql.redrive, [queue, int8Array(known)])
    return rows[0]!.count
  }
}

function readHandle(handle: string): number | undefined {
  return /^\d{1,15}$/.test(handle) ? Number(handle) : undefined
}

/** The number of the message or dead letter that a page begins after; INVALID_OPTION for what is none. */
export function placeAfter(after: string | undefined): number {
  const place = after === undefined ? 0 : readHandle(after)
  if (place === undefined)
    throw new SpillwayError('INVALID_OPTION', `after is ${JSON.stringify(after)}.`, { engine: 'postgres' })
  return place
}
