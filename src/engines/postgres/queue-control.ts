// What an operator does to a queue. Peeking sees both kinds of messages, as does everything here: a queue may have both.
import type { CancelResult, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import { textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { checkOption } from './options.ts'
import { pageBytes, placeAfter } from './queue-dead.ts'

type Name = 'pause' | 'peek' | 'cancel' | 'purgeWaiting' | 'purgeDead' | 'number'

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
}

const purgeDeadAtOnce = 5_000

function statements(schema: string): Record<Name, Statement> {
  const columns = 'm.id, m.message_id, m.key, m.body, m.leased, m.starts, m.due_at'
  const page = `m.queue = $1 and m.id > $2 and not (m.cancelled and m.due_at <= now())`
  const texts: Record<Name, string> = {
    pause: `update ${schema}.queue set paused = $2 where id = $1`,
    peek: `select m.id::text, m.message_id, m.key, m.body, m.leased, m.starts, m.priority, m.grp,
  case when m.due_at > now() then floor(extract(epoch from m.due_at) * 1000)::float8 end as due
from (select m.*, sum(octet_length(m.body)) over (order by m.id) - octet_length(m.body) as bytes_before from (
  (select ${columns}, 0 as priority, '' as grp from ${schema}.message m where ${page} and m.due_at is null order by m.id limit $3)
  union all
  (select ${columns}, 0, '' from ${schema}.message m where ${page} and m.due_at is not null order by m.id limit $3)
  union all
  (select ${columns}, m.priority, m.grp from ${schema}.task m where ${page} order by m.id limit $3)
) m order by m.id limit $3) m where m.bytes_before < ${pageBytes} order by m.id`,
    cancel: `select message_id, bool_or(held) as held from ${schema}.cancel_messages($1, $2) group by message_id`,
    purgeWaiting: `select removed, phase, below::float8 from ${schema}.purge_waiting($1, $2, $3, $4)`,
    purgeDead: `with gone as (
  delete from ${schema}.dead_letter d where d.queue = $1 and d.handle in (
    select o.handle from ${schema}.dead_letter o where o.queue = $1 and o.handle > $2 and o.handle <= $3
    order by o.handle limit ${purgeDeadAtOnce}
  ) returning d.handle
)
select count(*)::float8 as removed, max(handle)::float8 as last from gone`,
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
      state: row.due === null ? 'ready' : row.leased ? 'leased' : 'delayed',
      starts: row.starts,
      due: row.due ?? undefined,
      priority: row.priority,
      group: row.grp === '' ? undefined : row.grp,
    }))
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
