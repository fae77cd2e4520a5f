// What can be claimed of a queue without rules: one statement, by the database's clock.
import type { ClaimedMessage } from '../../ports/queue.ts'
import type { Connection, Statement } from './connection.ts'
import { leaseOf } from './leases.ts'
import type { Look } from './queue-claim.ts'
import { ScanBound } from './scan-bound.ts'

interface Row {
  /** null: nothing was claimed, and `due` is the time in milliseconds until something may be. */
  readonly id: string | null
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  /** In the row without an id: -1 when the queue has rules by now, -2 while it is paused. */
  readonly starts: number
  readonly token: string
  readonly suspect: boolean
  /** Of a message that was due again or later: when. Those come first. */
  readonly due: number | null
}

/** For a look at all that is due, however long. */
const foreverMs = 1e12

/**
 * `now()` throughout: the database's clock. Not flushed: a claim that is forgotten in a power failure is made again. $4 and
 * $5 bound the scans (`scan-bound.ts`), $6 is how far ahead it is worth to look.
 */
export function claimStatement(schema: string): Statement {
  return {
    name: 'spillway_claim',
    text: `with queue as materialized (
  select q.id, q.rules is not null as ruled, q.paused from ${schema}.queue q where q.id = $1
), due as materialized (
  select m.id, m.due_at, m.leased, m.cancelled from ${schema}.message m where m.queue = $1 and m.due_at <= now()
    and m.due_at >= now() - $5::float8 * interval '1 millisecond'
    and exists (select from queue where not ruled and not paused)
  order by m.due_at limit $2 for update skip locked
), ready as materialized (
  select m.id from ${schema}.message m where m.queue = $1 and m.due_at is null and m.id >= $4::bigint
    and exists (select from queue where not ruled and not paused)
  order by m.id limit $2::int - (select count(*) from due where not cancelled) for update skip locked
), over as (
  delete from ${schema}.message m using due c where c.cancelled and m.id = c.id
), claimed as (
  update ${schema}.message m
  set due_at = now() + $3::float8 * interval '1 millisecond', leased = true, starts = m.starts + 1,
    suspect = m.suspect or m.leased,
    token = greatest(m.token + 1, (extract(epoch from now()) * 1000000)::bigint)
  from (select id, due_at from due where not cancelled union all select id, null from ready) c
  where m.id = c.id and (select set_config('synchronous_commit', 'off', true)) is not null
  returning m.id, m.message_id, m.key, m.body, m.starts, m.token, m.suspect, extract(epoch from c.due_at)::float8 as due
)
select * from claimed
union all
select null, null, null, null, case when (select ruled from queue) then -1 when (select paused from queue) then -2 else 0 end, null, null, case
  when exists (select from due) then -1
  else (
    select extract(epoch from m.due_at - now())::float8 * 1000 from ${schema}.message m
    where m.queue = $1 and m.due_at >= now() - $5::float8 * interval '1 millisecond'
      and m.due_at < now() + $6::float8 * interval '1 millisecond'
    order by m.due_at limit 1
  ) end where not exists (select from claimed)`,
  }
}

export class PlainLook {
  readonly #connection: Connection
  readonly #statement: Statement
  readonly #queue: number
  readonly #aheadMs: number
  readonly #fresh = new ScanBound()
  /** When the last look began that left nothing behind that was due. */
  #dueSeenAt = 0

  /** `aheadMs`: whoever waits looks again after that. */
  constructor(connection: Connection, statement: Statement, queue: number, aheadMs: number) {
    this.#connection = connection
    this.#statement = statement
    this.#queue = queue
    this.#aheadMs = aheadMs
  }

  /** 'outdated' when the queue has rules by now. */
  async claim(limit: number, leaseMs: number): Promise<Look | 'outdated'> {
    const from = this.#fresh.begin()
    const startedAt = performance.now()
    const lookBackMs = from === 0 ? foreverMs : ScanBound.lookBack(startedAt - this.#dueSeenAt)
    const parameters = [this.#queue, limit, leaseMs, from, lookBackMs, this.#aheadMs]
    const rows = await this.#connection.run<Row>(this.#statement, parameters)
    const idle = rows[0]?.id === null ? rows[0] : undefined
    if (idle?.starts === -1) return 'outdated'
    if (idle?.starts === -2) return { messages: [], dueMs: undefined }
    // Only such were due as had been cancelled: they are gone now.
    if (idle !== undefined && idle.due === -1) return { messages: [], dueMs: 0, again: true }
    const fresh = rows.filter((row) => row.id !== null && row.due === null)
    this.#fresh.done(from, performance.now() - startedAt, Math.max(0, ...fresh.map((row) => Number(row.id))))
    if (rows.length - fresh.length < limit) this.#dueSeenAt = startedAt
    if (idle !== undefined) return { messages: [], dueMs: idle.due ?? undefined }
    return { messages: rows.sort(byAge).map((row) => toMessage(this.#queue, row)), dueMs: undefined }
  }
}

function byAge(a: Row, b: Row): number {
  const never = Number.POSITIVE_INFINITY
  const [first, second] = [a.due ?? never, b.due ?? never]
  return first === second ? Number(a.id) - Number(b.id) : first - second
}

function toMessage(queue: number, row: Row): ClaimedMessage {
  const fencingToken = Number(row.token)
  return {
    id: row.message_id,
    key: row.key ?? undefined,
    body: row.body,
    starts: row.starts,
    suspect: row.suspect,
    lease: leaseOf(queue, row.id!, row.token),
    fencingToken,
  }
}
