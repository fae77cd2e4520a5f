// Ending and extending leases, for all callers of the process together, the fencing token checked in the statement.
import type { ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import { float8Array, textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { GroupCommit } from './group-commit.ts'
import { Known } from './leases.ts'
import { legible } from './text.ts'

interface Ending {
  readonly queue: number
  readonly settlements: readonly Settlement[]
}

interface Extension {
  readonly queue: number
  readonly leases: readonly string[]
  readonly leaseMs: number
  readonly progress: readonly (string | undefined)[]
}

interface Id {
  readonly id: string
}

interface Extended extends Id {
  readonly cancelled: boolean
}

function doneStatement(schema: string): Statement {
  return {
    name: 'spillway_settle_done',
    text: `delete from ${schema}.message m using unnest($1::bigint[], $2::bigint[]) s(id, token)
where m.id = s.id and m.token = s.token returning m.id`,
  }
}

/** What was cancelled is gone, whatever it ends with. A lease that ends with its message staying raises the token: whoever held it is stale from then on. */
function settleStatement(schema: string): Statement {
  return {
    name: 'spillway_settle',
    text: `with s as materialized (
  select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::text[]) s(id, token, kind, delay, reason)
), done as (
  delete from ${schema}.message m using s
  where (s.kind = 'done' or m.cancelled) and m.id = s.id and m.token = s.token returning m.id
), dead as (
  delete from ${schema}.message m using s
  where s.kind = 'dead-letter' and not m.cancelled and m.id = s.id and m.token = s.token returning m.*, s.reason
), buried as (
  insert into ${schema}.dead_letter (queue, token, starts, message_id, key, body, reason, history)
  select queue, token, starts, message_id, key, body, reason, history from dead order by id
), back as (
  update ${schema}.message m
  set due_at = now() + s.delay * interval '1 millisecond', leased = false, token = m.token + 1,
    suspect = m.suspect and s.kind = 'release' and m.starts > 1, starts = m.starts - case s.kind when 'release' then 1 else 0 end,
    history = case when s.reason is null then m.history else ${schema}.with_failure(m.history, m.starts, s.reason) end
  from s where s.kind in ('retry', 'release') and not m.cancelled and m.id = s.id and m.token = s.token returning m.id
)
select id from done union all select id from dead union all select id from back`,
  }
}

/** One that has ended is live again, if nobody claimed it since; but under rules its place may be somebody else's. */
function extendStatement(schema: string): Statement {
  return {
    name: 'spillway_extend',
    text: `update ${schema}.message m set due_at = now() + s.lease * interval '1 millisecond',
  progress = coalesce(m.token || ' ' || s.progress, m.progress)
from unnest($1::bigint[], $2::bigint[], $3::float8[], $4::text[]) s(id, token, lease, progress)
where m.id = s.id and m.token = s.token and m.leased
  and (m.due_at > now() or (not m.cancelled and (select q.rules is null from ${schema}.queue q where q.id = m.queue)))
  and (select set_config('synchronous_commit', 'off', true)) is not null returning m.id, m.cancelled`,
  }
}

export class Leases {
  readonly #connection: Connection
  readonly #done: Statement
  readonly #settle: Statement
  readonly #extend: Statement
  readonly #settles: GroupCommit<Ending, SettleResult[]>
  readonly #extends: GroupCommit<Extension, ExtendResult[]>

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#done = doneStatement(schema)
    this.#settle = settleStatement(schema)
    this.#extend = extendStatement(schema)
    this.#settles = new GroupCommit({
      run: (calls) => this.#runSettles(calls),
      weigh: (ending) => ending.settlements.length * 100,
    })
    this.#extends = new GroupCommit({
      run: (calls) => this.#runExtends(calls),
      weigh: (extension) => extension.leases.length * 100,
    })
  }

  settle(queue: number, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    return this.#settles.submit({ queue, settlements })
  }

  extend(
    queue: number,
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[],
  ): Promise<ExtendResult[]> {
    return this.#extends.submit({ queue, leases, leaseMs, progress })
  }

  async close(): Promise<void> {
    await Promise.all([this.#settles.close(), this.#extends.close()])
  }

  async #runSettles(calls: readonly Ending[]): Promise<SettleResult[][]> {
    const known = new Known(
      calls.map(({ queue, settlements }) => ({ queue, leases: settlements.map(({ lease }) => lease) })),
    )
    const settlements = calls.flatMap((call) => call.settlements)
    const chosen = known.chosen.map((index) => settlements[index]!)
    const onlyDone = chosen.every((settlement) => settlement.kind === 'done')
    const extra = onlyDone
      ? []
      : [textArray(chosen.map((settlement) => settlement.kind)), ...delaysAndReasons(chosen)]
    const rows = await this.#connection.run<Id>(onlyDone ? this.#done : this.#settle, [
      ...known.parameters(),
      ...extra,
    ])
    return known.results(rows, () => 'settled')
  }

  async #runExtends(calls: readonly Extension[]): Promise<ExtendResult[][]> {
    const known = new Known(calls)
    const leases = calls.flatMap((call) => call.leases.map(() => call.leaseMs))
    const rows = await this.#connection.run<Extended>(this.#extend, [
      ...known.parameters(),
      float8Array(known.chosen.map((index) => leases[index]!)),
      progressArray(calls, known),
    ])
    return known.results(rows, extended)
  }
}

/** What the holders of leases say of their progress, as far as they do. */
export function progressArray(
  calls: readonly {
    readonly leases: readonly string[]
    readonly progress: readonly (string | undefined)[]
  }[],
  known: Known,
): Buffer {
  const said = calls.flatMap(({ leases, progress }) => leases.map((_, index) => progress[index]))
  return textArray(known.chosen.map((index) => said[index]))
}

/** The last two parameters of a settling statement. */
export function delaysAndReasons(settlements: readonly Settlement[]): Buffer[] {
  return [
    float8Array(settlements.map((settlement) => (settlement.kind === 'retry' ? settlement.delayMs : 0))),
    textArray(
      settlements.map((settlement) =>
        'reason' in settlement && settlement.reason !== undefined ? legible(settlement.reason) : undefined,
      ),
    ),
  ]
}

export function extended({ cancelled }: { readonly cancelled: boolean }): ExtendResult {
  return cancelled ? 'cancelled' : 'extended'
}
