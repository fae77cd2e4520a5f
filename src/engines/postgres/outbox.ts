// The outbox of a service: its rows, their numbers, and the lock of the relay that works on them.
import { isSpillwayError } from '../../core/errors.ts'
import type {
  AsideRow,
  Destination,
  Moved,
  OutboxPort,
  OutboxRow,
  StreamWithin,
} from '../../ports/database.ts'
import { int8Array, textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { ScanBound } from './scan-bound.ts'
import type { StreamHome } from './stream-home.ts'
import { legible } from './text.ts'

type StatementName =
  | 'lock'
  | 'unlock'
  | 'pending'
  | 'stillPending'
  | 'newest'
  | 'take'
  | 'remove'
  | 'setAside'
  | 'aside'
  | 'retry'
  | 'drop'
  | 'count'

interface TakenRow {
  readonly id: number
  readonly sequence: number
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly retriedAt: number | null
}

interface MovedRow {
  readonly outcome: 'moved' | 'refused'
  readonly moved: number
  readonly more: boolean
  readonly upto: number
}

interface TakenAside extends Destination {
  readonly sequence: number
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly reason: string
}

/** A destination, and where the scans for its rows may begin (`scan-bound.ts`). */
interface Lane {
  readonly destination: Destination
  readonly scan: ScanBound
  /** The lowest sequence that was there when rows were taken last: new ones are higher. */
  sequence: number
}

function statements(schema: string): Record<StatementName, Statement> {
  const notFlushed = "(select set_config('synchronous_commit', 'off', true)) is not null"
  const texts: Record<StatementName, string> = {
    // `clock_timestamp()`: a row that was waited for is looked at again, by the time of then. One that lasts longer than any: the clock was set back.
    lock: `update ${schema}.relay set holder = $1, expires_at = clock_timestamp() + $2::float8 * interval '1 millisecond'
where (holder is null or holder = $1 or expires_at < clock_timestamp() or expires_at > clock_timestamp() + interval '10 minutes')
  and ${notFlushed} returning 1 as held`,
    unlock: `update ${schema}.relay set holder = null where holder = $1 and ${notFlushed}`,
    // From one destination to the next by the index, however many rows each has.
    pending: `with recursive found (kind, name) as (
  (select kind, name from ${schema}.outbox order by kind, name limit 1)
  union all
  select next.kind, next.name from found cross join lateral (
    select o.kind, o.name from ${schema}.outbox o
    where (o.kind, o.name) > (found.kind, found.name) order by o.kind, o.name limit 1
  ) next
)
select kind, name from found`,
    stillPending: `select k.kind, k.name from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) k(kind, name, sequence, id)
where exists (select from ${schema}.outbox o where o.kind = k.kind and o.name = k.name and o.sequence >= k.sequence)
  or exists (select from ${schema}.outbox o where o.kind = k.kind and o.name = k.name and o.sequence is null and o.id >= k.id)
union
select n.kind, n.name from (select kind, name from ${schema}.outbox where id >= $5 order by id limit 10000) n`,
    newest: `select last_value::float8 as id from ${schema}.outbox_id_seq`,
    take: `select id::float8, sequence::float8, message_id, key, body,
  (extract(epoch from retried_at) * 1000)::float8 as "retriedAt" from ${schema}.take($1, $2, $3, $4, $5, $6) order by sequence`,
    remove: `delete from ${schema}.outbox o using unnest($1::text[], $2::text[], $3::bigint[]) r(kind, name, sequence)
where o.kind = r.kind and o.name = r.name and o.sequence = r.sequence and ${notFlushed}`,
    setAside: `with gone as (
  delete from ${schema}.outbox where kind = $1 and name = $2 and sequence = $3
  returning sequence, kind, name, message_id, key, body
)
insert into ${schema}.outbox_aside (sequence, kind, name, message_id, key, body, reason) select gone.*, $4 from gone`,
    aside: `select sequence::float8, kind, name, message_id, key, body, reason from ${schema}.outbox_aside
where sequence > $1 order by sequence limit $2`,
    retry: `with gone as (
  delete from ${schema}.outbox_aside where sequence = any($1::bigint[]) returning sequence, kind, name, message_id, key, body
)
insert into ${schema}.outbox (kind, name, message_id, key, body, retried_at)
select kind, name, message_id, key, body, now() from gone order by sequence returning 1 as put`,
    drop: `delete from ${schema}.outbox_aside where sequence = any($1::bigint[]) returning 1 as gone`,
    count: `select (select count(*) from ${schema}.outbox)::float8 as waiting,
  (select count(*) from ${schema}.outbox_aside)::float8 as aside`,
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { name: `spillway_outbox_${name}`, text }]),
  ) as Record<StatementName, Statement>
}

export class PostgresOutbox implements OutboxPort {
  readonly producerId: string
  /** Where streams are that are in this same database. */
  streams: StreamHome | undefined
  readonly #connection: Connection
  readonly #schema: string
  readonly #sql: Record<StatementName, Statement>
  readonly #lanes = new Map<string, Lane>()
  readonly #scan = new ScanBound()

  constructor(connection: Connection, schema: string, producerId: string) {
    this.#connection = connection
    this.#schema = schema
    this.#sql = statements(schema)
    this.producerId = producerId
  }

  async lock(holder: string, leaseMs: number): Promise<boolean> {
    return (await this.#connection.run(this.#sql.lock, [holder, leaseMs])).length > 0
  }

  async unlock(holder: string): Promise<void> {
    await this.#connection.run(this.#sql.unlock, [holder])
  }

  async pending(): Promise<Destination[]> {
    const startedAt = performance.now()
    const from = this.#scan.begin()
    const newest = (await this.#connection.run<{ id: number }>(this.#sql.newest, []))[0]!.id
    const found =
      from === 0
        ? await this.#connection.run<Destination>(this.#sql.pending, [])
        : await this.#stillPending(from)
    this.#scan.done(from, performance.now() - startedAt, newest)
    // What only a full scan found, only a full one takes.
    if (from === 0) for (const destination of found) this.#lane(destination).scan.demand()
    return found
  }

  async take(holder: string, destination: Destination, limit: number, after?: number): Promise<OutboxRow[]> {
    const { kind, name } = destination
    const startedAt = performance.now()
    const lane = this.#lane(destination)
    const from = lane.scan.begin()
    const lowest = from === 0 ? 0 : lane.sequence
    const sequence = after === undefined ? lowest : after + 1
    const values = [holder, kind, name, limit, sequence, from]
    const rows = await this.#connection.run<TakenRow>(this.#sql.take, values)
    lane.scan.done(from, performance.now() - startedAt, Math.max(0, ...rows.map(({ id }) => id)))
    if (after === undefined) lane.sequence = Math.max(lowest, rows[0]?.sequence ?? 0)
    return rows.map((row) => ({
      sequence: row.sequence,
      destination: { kind, name },
      id: row.message_id,
      key: row.key ?? undefined,
      body: row.body,
      ...(row.retriedAt === null ? {} : { retriedAt: Math.floor(row.retriedAt) }),
    }))
  }

  async move(
    holder: string,
    { kind, name }: Destination,
    limit: number,
    { home, partitions }: StreamWithin,
  ): Promise<Moved | undefined> {
    const streams = home === this.streams ? this.streams : undefined
    const stream = kind === 'stream' ? streams?.plain(name) : undefined
    if (streams === undefined || stream === undefined) return undefined
    const startedAt = performance.now()
    const lane = this.#lane({ kind, name })
    const from = lane.scan.begin()
    const lowest = from === 0 ? 0 : lane.sequence
    const values = [holder, kind, name, limit, lowest, from, partitions, stream]
    let row: MovedRow
    try {
      row = (await this.#connection.run<MovedRow>(streams.move(this.#schema), values))[0]!
    } catch (thrown) {
      // Refused, and so undone: the stream was declared anew, it does not take a row, rights were taken away.
      if (isSpillwayError(thrown, 'ENGINE_FAILED')) return undefined
      throw thrown
    }
    if (row.outcome === 'refused') return undefined
    lane.scan.done(from, performance.now() - startedAt, row.upto)
    if (row.moved > 0) streams.stored(stream)
    return { rows: row.moved, more: row.more }
  }

  async remove(rows: readonly OutboxRow[]): Promise<void> {
    if (rows.length === 0) return
    await this.#connection.run(this.#sql.remove, [
      textArray(rows.map((row) => row.destination.kind)),
      textArray(rows.map((row) => row.destination.name)),
      int8Array(rows.map((row) => row.sequence)),
    ])
  }

  async setAside(row: OutboxRow, reason: string): Promise<void> {
    const { kind, name } = row.destination
    await this.#connection.run(this.#sql.setAside, [kind, name, row.sequence, legible(reason)])
  }

  async aside(limit: number, after = 0): Promise<AsideRow[]> {
    const rows = await this.#connection.run<TakenAside>(this.#sql.aside, [after, limit])
    return rows.map(({ kind, name, message_id, key, ...row }) => ({
      ...row,
      destination: { kind, name },
      id: message_id,
      key: key ?? undefined,
    }))
  }

  async retry(sequences: readonly number[]): Promise<number> {
    return (await this.#connection.run(this.#sql.retry, [int8Array(sequences)])).length
  }

  async drop(sequences: readonly number[]): Promise<number> {
    return (await this.#connection.run(this.#sql.drop, [int8Array(sequences)])).length
  }

  async count(): Promise<{ readonly waiting: number; readonly setAside: number }> {
    const rows = await this.#connection.run<{ waiting: number; aside: number }>(this.#sql.count, [])
    return { waiting: rows[0]!.waiting, setAside: rows[0]!.aside }
  }

  #lane(destination: Destination): Lane {
    const name = `${destination.kind} ${destination.name}`
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = { destination, scan: new ScanBound(), sequence: 0 }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  #stillPending(from: number): Promise<Destination[]> {
    const lanes = [...this.#lanes.values()]
    return this.#connection.run<Destination>(this.#sql.stillPending, [
      textArray(lanes.map(({ destination }) => destination.kind)),
      textArray(lanes.map(({ destination }) => destination.name)),
      int8Array(lanes.map(({ sequence }) => sequence)),
      int8Array(lanes.map(({ scan }) => scan.settled)),
      from,
    ])
  }
}
