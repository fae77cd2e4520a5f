// Ending and extending leases, for all callers of the process together, the fencing token checked in the statement.
import type { ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import { float8Array, int8Array, textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { GroupCommit } from './group-commit.ts'
import { readLease } from './queue-claim.ts'
import { legible } from './text.ts'

interface Ending {
  readonly queue: number
  readonly settlements: readonly Settlement[]
}

interface Extension {
  readonly queue: number
  readonly leases: readonly string[]
  readonly leaseMs: number
}

interface Id {
  readonly id: string
}

interface Held {
  readonly id: number
  readonly token: number
}

function doneStatement(schema: string): Statement {
  return {
    name: 'spillway_settle_done',
    text: `delete from ${schema}.message m using unnest($1::bigint[], $2::bigint[]) s(id, token)
where m.id = s.id and m.token = s.token returning m.id`,
  }
}

/** A lease that ends with its message staying raises the token: whoever held it is stale from then on. */
function settleStatement(schema: string): Statement {
  return {
    name: 'spillway_settle',
    text: `with s as materialized (
  select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::text[]) s(id, token, kind, delay, reason)
), done as (
  delete from ${schema}.message m using s where s.kind = 'done' and m.id = s.id and m.token = s.token returning m.id
), dead as (
  delete from ${schema}.message m using s
  where s.kind = 'dead-letter' and m.id = s.id and m.token = s.token returning m.*, s.reason
), buried as (
  insert into ${schema}.dead_letter (queue, token, starts, message_id, key, body, reason)
  select queue, token, starts, message_id, key, body, reason from dead order by id
), back as (
  update ${schema}.message m
  set due_at = now() + s.delay * interval '1 millisecond', leased = false, token = m.token + 1,
    starts = m.starts - case s.kind when 'release' then 1 else 0 end
  from s where s.kind in ('retry', 'release') and m.id = s.id and m.token = s.token returning m.id
)
select id from done union all select id from dead union all select id from back`,
  }
}

function extendStatement(schema: string): Statement {
  return {
    name: 'spillway_extend',
    text: `update ${schema}.message m set due_at = now() + s.lease * interval '1 millisecond'
from unnest($1::bigint[], $2::bigint[], $3::float8[]) s(id, token, lease)
where m.id = s.id and m.token = s.token and m.leased
  and (select set_config('synchronous_commit', 'off', true)) is not null returning m.id`,
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

  extend(queue: number, leases: readonly string[], leaseMs: number): Promise<ExtendResult[]> {
    return this.#extends.submit({ queue, leases, leaseMs })
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
      : [
          textArray(chosen.map((settlement) => settlement.kind)),
          float8Array(chosen.map((settlement) => (settlement.kind === 'retry' ? settlement.delayMs : 0))),
          textArray(
            chosen.map((settlement) =>
              settlement.kind === 'dead-letter' ? legible(settlement.reason) : undefined,
            ),
          ),
        ]
    const rows = await this.#connection.run<Id>(onlyDone ? this.#done : this.#settle, [
      ...known.parameters(),
      ...extra,
    ])
    return known.results(rows, 'settled')
  }

  async #runExtends(calls: readonly Extension[]): Promise<ExtendResult[][]> {
    const known = new Known(calls)
    const leases = calls.flatMap((call) => call.leases.map(() => call.leaseMs))
    const rows = await this.#connection.run<Id>(this.#extend, [
      ...known.parameters(),
      float8Array(known.chosen.map((index) => leases[index]!)),
    ])
    return known.results(rows, 'extended')
  }
}

/** The leases of several calls, each once: a lease that is named again is stale by then. */
class Known {
  /** Which of the leases, counted over all calls, go into the statement. */
  readonly chosen: number[] = []
  readonly #held: Held[] = []
  readonly #sizes: number[]

  constructor(calls: readonly { readonly queue: number; readonly leases: readonly string[] }[]) {
    this.#sizes = calls.map((call) => call.leases.length)
    const known = new Map<number, { readonly index: number; readonly held: Held }>()
    let index = 0
    for (const { queue, leases } of calls)
      for (const lease of leases) {
        const held = readLease(queue, lease)
        if (held !== undefined && !known.has(held.id)) known.set(held.id, { index, held })
        index += 1
      }
    // Everyone locks them in the same order.
    for (const { index, held } of [...known.values()].sort((a, b) => a.held.id - b.held.id)) {
      this.chosen.push(index)
      this.#held.push(held)
    }
  }

  parameters(): Buffer[] {
    return [int8Array(this.#held.map((held) => held.id)), int8Array(this.#held.map((held) => held.token))]
  }

  results<Good>(rows: readonly Id[], good: Good): (Good | 'stale')[][] {
    const found = new Set(rows.map((row) => Number(row.id)))
    const flat: (Good | 'stale')[] = Array(this.#sizes.reduce((sum, size) => sum + size, 0)).fill('stale')
    this.chosen.forEach((index, place) => {
      if (found.has(this.#held[place]!.id)) flat[index] = good
    })
    let at = 0
    return this.#sizes.map((size) => {
      at += size
      return flat.slice(at - size, at)
    })
  }
}
