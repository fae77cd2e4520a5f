// What an operator does to a queue. Peeking sees both kinds of messages, as does everything here: a queue may have both.
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import { textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { checkOption } from './options.ts'
import { pageBytes, placeAfter } from './queue-dead.ts'

type Name = 'pause' | 'peek' | 'cancel' | 'purgeWaiting' | 'purgeDead' | 'number' | 'finished' | 'trim'

interface Row {
  readonly id: string
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly leased: boolean
  readonly starts: number
  readonly due: number | null
  readonly priority: number
  readonly grp: string
  readonly after: readonly string[] | null
  readonly progress: string | null
}

interface FinishedRow extends Pick<Row, 'message_id' | 'key' | 'body' | 'starts'> {
  readonly handle: string
  readonly finished_at: number
}

function statements(schema: string): Record<Name, Statement> {
  const columns = 'm.id, m.message_id, m.key, m.body, m.progress'
  const after = 'm.queue = $1 and m.id > $2'
  const texts: Record<Name, string> = {
    pause: `update ${schema}.queue set paused = $2 where id = $1`,
    peek: `with near as materialized (
  select m.id from ${schema}.message m where ${after} and m.due_at is null and (not m.cancelled or m.id in (
    select unnest(l.ids) from ${schema}.lease l where l.queue = $1 and l.due_at > now()
  )) order by m.id limit $3
), held as materialized (
  select u.id, l.due_at, l.token from ${schema}.lease l cross join lateral unnest(l.ids) u(id)
  where l.queue = $1 and (u.id in (select n.id from near n)) is true
)
select m.id::text, m.message_id, m.key, m.body, m.leased, m.starts, m.priority, m.grp,
  case when m.due_at > now() and m.waits = 0 then floor(extract(epoch from m.due_at) * 1000)::float8 end as due,
  case when m.waits > 0 then array(select w.id from ${schema}.flow_wait w where w.task = m.id limit 10) end as after,
  case when m.leased and m.due_at > now() and starts_with(m.progress, m.token || ' ')
    then substr(m.progress, length(m.token::text) + 2) end as progress
from (select m.*, sum(octet_length(m.body)) over (order by m.id) - octet_length(m.body) as bytes_before from (
  (select ${columns}, coalesce(h.due_at > now(), false) as leased,
    m.starts + case when h.id is null then 0 else 1 end as starts, h.due_at, h.token,
    0 as priority, '' as grp, 0 as waits
    from near n join ${schema}.message m on m.id = n.id left join held h on h.id = n.id)
  union all
  (select ${columns}, false, m.starts, m.due_at, null, 0, '', 0 from ${schema}.message m
    where ${after} and m.due_at is not null order by m.id limit $3)
  union all
  (select ${columns}, m.leased, m.starts, m.due_at, m.token, m.priority, m.grp, m.waits from ${schema}.task m
    where ${after} and not (m.cancelled and m.due_at <= now()) order by m.id limit $3)
) m order by m.id limit $3) m where m.bytes_before < ${pageBytes} order by m.id`,
    cancel: `select message_id, bool_or(held) as held from ${schema}.cancel_messages($1, $2) group by message_id`,
    purgeWaiting: `select removed, phase, below::float8 from ${schema}.purge_waiting($1, $2, $3, $4)`,
    purgeDead: `select removed, last from ${schema}.purge_dead($1, $2, $3)`,
    finished: `select handle::text, message_id, key, body, starts, floor(extract(epoch from finished_at) * 1000)::float8 as finished_at
from (
  select f.*, sum(octet_length(f.body)) over (order by f.handle desc) - octet_length(f.body) as bytes_before
  from (
    select f.* from ${schema}.finished f where f.queue = $1 and f.handle < $2 and f.finished_at > coalesce((
      select now() - (q.rules->'finished'->>'forMs')::float8 * interval '1 millisecond' from ${schema}.queue q where q.id = $1
    ), '-infinity') order by f.handle desc limit $3
  ) f
) f where f.bytes_before < ${pageBytes} order by f.handle desc`,
    trim: `select trim_finished as removed from ${schema}.trim_finished($1)`,
    number: `select nextval('${schema}.message_id_seq')::float8 as messages,
  (select coalesce(max(handle), 0)::float8 from ${schema}.dead_letter where queue = $1) as dead`,
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { name: `spillway_control_${name}`, text }]),
  ) as Record<Name, Statement>
}

export class QueueControls {
  readonly #connection: Connection
  readonly #sql: Record<Name, Statement>

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#sql = statements(schema)
  }

  async pause(queue: number, paused: boolean): Promise<void> {
    await this.#connection.run(this.#sql.pause, [queue, paused])
  }

  async peek(queue: number, { limit, after }: PeekOptions): Promise<PeekedMessage[]> {
    const rows = await this.#connection.run<Row>(this.#sql.peek, [queue, placeAfter(after), limit])
    return rows.map((row) => ({
      handle: row.id,
      id: row.message_id,
      key: row.key ?? undefined,
      body: row.body,
      state: row.after !== null ? 'waiting' : row.due === null ? 'ready' : row.leased ? 'leased' : 'delayed',
      starts: row.starts,
      due: row.due ?? undefined,
      priority: row.priority,
      group: row.grp === '' ? undefined : row.grp,
      ...(row.after === null ? {} : { after: row.after }),
      ...(row.progress === null ? {} : { progress: row.progress }),
    }))
  }

  async finished(queue: number, { limit, after }: PeekOptions): Promise<FinishedMessage[]> {
    const before = after === undefined ? Number.MAX_SAFE_INTEGER : placeAfter(after)
    const rows = await this.#connection.run<FinishedRow>(this.#sql.finished, [queue, before, limit])
    return rows.map(({ handle, message_id, key, body, starts, finished_at }) => ({
      handle,
      id: message_id,
      key: key ?? undefined,
      body,
      starts,
      finishedAt: finished_at,
    }))
  }

  async trimFinished(queue: number): Promise<number> {
    const rows = await this.#connection.run<{ removed: number }>(this.#sql.trim, [queue])
    return rows[0]!.removed
  }

  async cancel(queue: number, ids: readonly string[]): Promise<CancelResult[]> {
    const rows = await this.#connection.run<{ message_id: string; held: boolean }>(this.#sql.cancel, [
      queue,
      textArray([...new Set(ids)]),
    ])
    const held = new Map(rows.map((row) => [row.message_id, row.held]))
    return ids.map((id) => {
      const found = held.get(id)
      return found === undefined ? 'unknown' : found ? 'signalled' : 'removed'
    })
  }

  async purge(queue: number, what: 'waiting' | 'dead'): Promise<number> {
    const ends = await this.#connection.run<{ messages: number; dead: number }>(this.#sql.number, [queue])
    const { messages, dead } = ends[0]!
    return what === 'dead' ? await this.#purgeDead(queue, dead) : await this.#purgeWaiting(queue, messages)
  }

  async #purgeWaiting(queue: number, until: number): Promise<number> {
    let removed = 0
    for (let phase: number | null = 1, below = until; phase !== null; ) {
      const rows: { removed: number; phase: number | null; below: number | null }[] =
        await this.#connection.run(this.#sql.purgeWaiting, [queue, phase, until, below])
      removed += rows[0]!.removed
      phase = rows[0]!.phase
      below = rows[0]!.below ?? until
    }
    return removed
  }

  async #purgeDead(queue: number, until: number): Promise<number> {
    let removed = 0
    for (let after: number | null = 0; after !== null; ) {
      const rows: { removed: number; last: number | null }[] = await this.#connection.run(
        this.#sql.purgeDead,
        [queue, after, until],
      )
      removed += rows[0]!.removed
      after = rows[0]!.last
    }
    return removed
  }
}

export function checkPeek({ limit, after }: PeekOptions): void {
  checkOption('limit', limit, 'count', 1, 1_000)
  placeAfter(after)
}
