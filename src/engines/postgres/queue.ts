// The queue port on PostgreSQL: one row per message, claimed and marked with SKIP LOCKED, by the database's clock.
import { SpillwayError } from '../../core/errors.ts'
import { missing, type QueueCapabilities } from '../../ports/capability.ts'
import type {
  ClaimedMessage,
  ClaimOptions,
  DeadMessage,
  ExtendResult,
  OutgoingMessage,
  QueueCount,
  QueuePort,
  Settlement,
  SettleResult,
} from '../../ports/queue.ts'
import type { CancelResult, PeekedMessage } from '../../ports/queue-control.ts'
import { checkCarried, checkRules, type Duplicate, type QueueRules } from '../../ports/queue-rules.ts'
import { float8Array, int4Array, int8Array, textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { closed } from './errors.ts'
import { GroupCommit } from './group-commit.ts'
import { checkOption } from './options.ts'
import { Claims, claimStatement } from './queue-claim.ts'
import { Leases } from './queue-settle.ts'
import { checkRow, maxBodyBytes } from './text.ts'
import type { Wake } from './wake.ts'

interface Send {
  readonly queue: number
  readonly messages: readonly OutgoingMessage[]
}

interface DeadRow {
  readonly handle: string
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly reason: string
  readonly starts: number
  readonly died_at: number
}

type StatementName = 'declare' | 'find' | 'send' | 'count' | 'dead' | 'redrive' | 'names'

function statements(schema: string): Record<StatementName, Statement> {
  return {
    declare: {
      name: 'spillway_declare_queues',
      text: `insert into ${schema}.queue (name) select unnest($1::text[]) on conflict do nothing`,
    },
    find: { name: 'spillway_find_queue', text: `select id from ${schema}.queue where name = $1` },
    names: { name: 'spillway_queue_names', text: `select name from ${schema}.queue order by name` },
    // The ids are given in the order of the rows: the order in which they become claimable.
    send: {
      name: 'spillway_send',
      text: `insert into ${schema}.message (queue, message_id, key, body, due_at)
select m.queue, m.message_id, m.key, m.body, now() + m.delay * interval '1 millisecond'
from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::float8[]) with ordinality m(queue, message_id, key, body, delay, place)
order by m.place`,
    },
    count: {
      name: 'spillway_count',
      text: `select
  (select count(*) from ${schema}.message where queue = $1 and due_at is null)::float8 as fresh,
  (select count(*) from ${schema}.message where queue = $1 and due_at <= now())::float8 as due,
  (select count(*) from ${schema}.message where queue = $1 and due_at > now() and not leased)::float8 as delayed,
  (select count(*) from ${schema}.message where queue = $1 and due_at > now() and leased)::float8 as leased,
  (select count(*) from ${schema}.dead_letter where queue = $1)::float8 as dead`,
    },
    dead: {
      name: 'spillway_dead_letters',
      text: `select handle::text, message_id, key, body, reason, starts, floor(extract(epoch from died_at) * 1000)::float8 as died_at
from ${schema}.dead_letter d where queue = $1 and d.handle > $2 order by d.handle limit $3`,
    },
    // Keeps the token, so that fencing tokens go on rising.
    redrive: {
      name: 'spillway_redrive',
      text: `with back as (
  delete from ${schema}.dead_letter where queue = $1 and handle = any($2::bigint[])
  returning handle, token, message_id, key, body
), ready as (
  insert into ${schema}.message (queue, token, message_id, key, body)
  select $1, token, message_id, key, body from back order by handle returning 1
)
select count(*)::float8 as count from ready`,
    },
  }
}

export class PostgresQueue implements QueuePort {
  readonly capabilities: QueueCapabilities = {
    fencing: 'engine',
    delay: true,
    atomicSend: true,
    keyOrder: false,
    priority: false,
    dedup: false,
    groups: false,
    concurrency: false,
    rate: false,
    history: false,
    pause: false,
    peek: false,
    cancel: false,
    purge: false,
  }
  readonly limits: QueuePort['limits'] = { maxBodyBytes: maxBodyBytes, minLeaseMs: 100 }
  readonly #connection: Connection
  readonly #wake: Wake
  readonly #sql: Record<StatementName, Statement>
  readonly #claim: Statement
  readonly #ids = new Map<string, number>()
  readonly #claims = new Map<number, Claims>()
  readonly #leases: Leases
  readonly #sends: GroupCommit<Send, undefined>
  #closed = false

  constructor(connection: Connection, wake: Wake, schema: string) {
    this.#connection = connection
    this.#wake = wake
    this.#sql = statements(schema)
    this.#claim = claimStatement(schema)
    this.#leases = new Leases(connection, schema)
    this.#sends = new GroupCommit({ run: (calls) => this.#runSends(calls), weigh: weight })
  }

  async declare(queues: readonly string[], rules: QueueRules = {}): Promise<void> {
    checkRules('postgres', this.capabilities, rules)
    if (this.#closed) throw closed()
    const unknown = queues.filter((queue) => !this.#ids.has(queue))
    if (unknown.length > 0) await this.#connection.run(this.#sql.declare, [textArray(unknown)])
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    for (const message of messages) {
      checkCarried(message, {})
      checkRow(message, message.id)
      if (message.delayMs !== undefined) checkOption('delayMs', message.delayMs, 'time', 0)
    }
    const id = await this.#id(queue)
    if (messages.length > 0) await this.#sends.submit({ queue: id, messages })
    return []
  }

  async claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    checkOption('limit', options.limit, 'count', 1)
    checkOption('leaseMs', options.leaseMs, 'time', this.limits.minLeaseMs)
    checkOption('waitMs', options.waitMs, 'time', 0, Number.POSITIVE_INFINITY)
    const id = await this.#id(queue)
    if (this.#closed) return []
    let claims = this.#claims.get(id)
    if (claims === undefined) {
      claims = new Claims({
        connection: this.#connection,
        statement: this.#claim,
        wake: this.#wake,
        topic: topic(id),
        queue: id,
        release: (leases) => this.#release(id, leases),
      })
      this.#claims.set(id, claims)
    }
    return await claims.claim(options)
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    for (const one of settlements) if (one.kind === 'retry') checkOption('delayMs', one.delayMs, 'time', 0)
    const id = await this.#id(queue)
    if (settlements.length === 0) return []
    const results = await this.#leases.settle(id, settlements)
    // Someone may wait for it, at once or for its new due time.
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release')) this.#wake.changed(topic(id))
    return results
  }

  async extend(queue: string, leases: readonly string[], leaseMs: number): Promise<ExtendResult[]> {
    checkOption('leaseMs', leaseMs, 'time', this.limits.minLeaseMs)
    const id = await this.#id(queue)
    return leases.length === 0 ? [] : await this.#leases.extend(id, leases, leaseMs)
  }

  async count(queue: string): Promise<QueueCount> {
    const id = await this.#id(queue)
    const rows = await this.#connection.run<Record<'fresh' | 'due' | 'delayed' | 'leased' | 'dead', number>>(
      this.#sql.count,
      [id],
    )
    const { fresh, due, delayed, leased, dead } = rows[0]!
    return { ready: fresh + due, delayed, leased, dead, paused: false }
  }

  async deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    checkOption('limit', options.limit, 'count', 1)
    const id = await this.#id(queue)
    const after = options.after === undefined ? 0 : readHandle(options.after)
    if (after === undefined)
      throw new SpillwayError('INVALID_OPTION', `after is ${JSON.stringify(options.after)}.`)
    const rows = await this.#connection.run<DeadRow>(this.#sql.dead, [id, after, options.limit])
    return rows.map((row) => ({
      handle: row.handle,
      id: row.message_id,
      key: row.key ?? undefined,
      body: row.body,
      reason: row.reason,
      starts: row.starts,
      diedAt: row.died_at,
      history: [],
    }))
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    const id = await this.#id(queue)
    const known = handles.map(readHandle).filter((handle) => handle !== undefined)
    const rows = await this.#connection.run<{ count: number }>(this.#sql.redrive, [id, int8Array(known)])
    this.#wake.changed(topic(id))
    return rows[0]!.count
  }

  async names(): Promise<string[]> {
    if (this.#closed) throw closed()
    const rows = await this.#connection.run<{ name: string }>(this.#sql.names, [])
    return rows.map(({ name }) => name)
  }

  pause(): Promise<void> {
    return Promise.reject(missing('postgres', 'queue', 'pause'))
  }

  resume(): Promise<void> {
    return Promise.reject(missing('postgres', 'queue', 'pause'))
  }

  peek(): Promise<PeekedMessage[]> {
    return Promise.reject(missing('postgres', 'queue', 'peek'))
  }

  cancel(): Promise<CancelResult[]> {
    return Promise.reject(missing('postgres', 'queue', 'cancel'))
  }

  purge(): Promise<number> {
    return Promise.reject(missing('postgres', 'queue', 'purge'))
  }

  /** Ends the waiting claims, finishes what was accepted. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#claims.values()].map((claims) => claims.close()))
    await Promise.all([this.#sends.close(), this.#leases.close()])
  }

  async #id(queue: string): Promise<number> {
    if (this.#closed) throw closed()
    const known = this.#ids.get(queue)
    if (known !== undefined) return known
    const rows = await this.#connection.run<{ id: number }>(this.#sql.find, [queue])
    const found = rows[0]
    if (found === undefined)
      throw new SpillwayError('UNKNOWN_QUEUE', `The queue ${JSON.stringify(queue)} was not declared.`, {
        engine: 'postgres',
      })
    this.#ids.set(queue, found.id)
    return found.id
  }

  async #runSends(calls: readonly Send[]): Promise<undefined[]> {
    const rows = calls.flatMap((call) => call.messages.map((message) => ({ queue: call.queue, message })))
    await this.#connection.run(this.#sql.send, [
      int4Array(rows.map((row) => row.queue)),
      textArray(rows.map((row) => row.message.id)),
      textArray(rows.map((row) => row.message.key)),
      textArray(rows.map((row) => row.message.body)),
      float8Array(rows.map(({ message }) => (message.delayMs ? message.delayMs : undefined))),
    ])
    for (const queue of new Set(calls.map((call) => call.queue))) this.#wake.changed(topic(queue))
    return calls.map(() => undefined)
  }

  async #release(queue: number, leases: readonly string[]): Promise<void> {
    // If this fails the messages come back when their leases end.
    await this.#leases
      .settle(
        queue,
        leases.map((lease) => ({ lease, kind: 'release' })),
      )
      .catch(() => {})
    this.#wake.changed(topic(queue))
  }
}

function topic(queue: number): string {
  return `q${queue}`
}

function weight(send: Send): number {
  return send.messages.reduce((sum, message) => sum + message.body.length + 100, 0)
}

function readHandle(handle: string): number | undefined {
  return /^\d{1,15}$/.test(handle) ? Number(handle) : undefined
}
