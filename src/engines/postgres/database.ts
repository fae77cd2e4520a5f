// The transaction seam on PostgreSQL: a service's own database, with Spillway's tables in a schema of their own beside the
// service's.
import { SpillwayError } from '../../core/errors.ts'
import { withoutWatch } from '../../core/outside-io.ts'
import type { TlsFiles } from '../../core/tls.ts'
import type {
  CommitOutcome,
  CommitUnit,
  Database,
  DatabaseSource,
  Handled,
  HeldPartition,
  InboxEntry,
  JoinedOutbox,
  OutboxMessage,
  Progress,
  Rewind,
} from '../../ports/database.ts'
import type { ParkingPort } from '../../ports/parking.ts'
import type { SagaPort } from '../../ports/saga.ts'
import { textArray } from './arrays.ts'
import {
  checkOut,
  createPool,
  type PgPool,
  type PgQuery,
  type PgQueryable,
  type PgResult,
  type PgSession,
} from './client.ts'
import { Connection, type Statement } from './connection.ts'
import { serviceTables } from './database-tables.ts'
import { aborted, closed, sqlState, translate } from './errors.ts'
import { joinOutbox } from './join.ts'
import { migrate } from './migrations.ts'
import { checkOption } from './options.ts'
import { PostgresOutbox } from './outbox.ts'
import { PostgresParking } from './parking.ts'
import { isWithin } from './place.ts'
import { parted, QueueHome, written } from './queue-home.ts'
import { PostgresSagas } from './sagas.ts'
import { checkSchema, quote, shorten } from './schema.ts'
import { checkServer } from './server.ts'
import { StreamHome } from './stream-home.ts'
import { checkRow, checkText } from './text.ts'
import { closeGuard, raiseGuard } from './transaction-guard.ts'
import { commitWithEffects } from './unit.ts'
import { UnitHandle } from './unit-handle.ts'
import { type PostgresUrl, parseUrl } from './url.ts'

interface CommonOptions {
  /**
   * The beginning of the name of the schema for Spillway's tables, which is `<schema>_<service>`: services may share a
   * database, and never share an outbox. Default: what the url says (`?schema=…`), else 'spillway'.
   */
  readonly schema?: string
  /**
   * Runs at every opening, when Spillway's tables are there: the place to create or migrate the service's own. In a
   * transaction, and in one process at a time.
   */
  readonly setup?: (db: PgQueryable) => unknown
}

export type PostgresDatabaseOptions =
  | (CommonOptions & {
      /** `postgres://user:password@host:port/database`. */
      readonly url: string
      /** As for the engine. */
      readonly tls?: boolean | TlsFiles
      /** How many connections there are at most. Default 10. */
      readonly poolSize?: number
    })
  | (CommonOptions & {
      /** A pool of one's own, of `pg` or made like it; closing leaves it open. */
      readonly pool: PgPool
    })

/** A service's database on PostgreSQL, version 15 or later. */
export function postgresDatabase(options: PostgresDatabaseOptions): DatabaseSource<PgQueryable> {
  return {
    inboxEngine(service) {
      // Files of certificates are no part of a url.
      if (!('url' in options) || (options.tls !== undefined && options.tls !== false)) return undefined
      const { schema } = parseUrl(options.url)
      const url = new URL(options.url)
      url.searchParams.set('schema', shorten(`${options.schema ?? schema ?? 'spillway'}_${service}_inbox`))
      return url.href
    },
    async find(service) {
      const { url, schema: prefix } = 'url' in options ? parseUrl(options.url) : ofPool(service)
      const begin = `${options.schema ?? prefix ?? 'spillway'}_`
      const schema = shorten(checkSchema(`${begin}${service}`, 200))
      const own = 'url' in options ? await createPool({ url, tls: options.tls, size: 1 }) : undefined
      try {
        const schemas = await schemasOf(own ?? (options as { readonly pool: PgPool }).pool, begin)
        return {
          isThere: schemas.includes(schema),
          services: schemas.map((name) => name.slice(begin.length)),
        }
      } finally {
        await own?.end()
      }
    },
    async open(service) {
      const { url, shown, schema: prefix } = 'url' in options ? parseUrl(options.url) : ofPool(service)
      const schema = shorten(checkSchema(`${options.schema ?? prefix ?? 'spillway'}_${service}`, 200))
      if ('url' in options) checkOption('poolSize', options.poolSize ?? 10, 'count', 1, 1_000)
      const own =
        'url' in options
          ? await createPool({ url, tls: options.tls, size: options.poolSize ?? 10 })
          : undefined
      const pool = own ?? (options as { readonly pool: PgPool }).pool
      try {
        const producerId = await prepare(pool, schema)
        if (options.setup !== undefined) await setUp(pool, schema, options.setup)
        const connection = new Connection(pool, { own, prepare: false })
        return new PostgresDatabase(shown, pool, connection, quote(schema), producerId)
      } catch (thrown) {
        await own?.end()
        throw thrown
      }
    },
  }
}

function ofPool(service: string): PostgresUrl {
  return { url: '', shown: `postgres (pool of ${service})`, schema: undefined, listen: undefined }
}

/** The schemas of services. */
async function schemasOf(pool: PgPool, begin: string): Promise<string[]> {
  try {
    const client = await checkOut(pool)
    try {
      const found = (await client.query(
        `select n.nspname as name from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relname = 'relay'
where starts_with(n.nspname, $1) order by n.nspname`,
        [begin],
      )) as PgResult<{ name: string }>
      return found.rows.map(({ name }) => name)
    } finally {
      client.release()
    }
  } catch (thrown) {
    throw translate(thrown)
  }
}

async function prepare(pool: PgPool, schema: string): Promise<string> {
  try {
    const client = await checkOut(pool)
    try {
      await checkServer(client)
      await migrate(client, schema, serviceTables)
      const query = `select producer_id::text from ${quote(schema)}.relay`
      const found = (await client.query(query)) as PgResult<{ producer_id: string }>
      return found.rows[0]!.producer_id
    } finally {
      client.release()
    }
  } catch (thrown) {
    throw translate(thrown)
  }
}

/** Rejects with what `setup` threw, as it is. */
async function setUp(pool: PgPool, schema: string, setup: (db: PgQueryable) => unknown): Promise<void> {
  const client = await checkOut(pool).catch((thrown: unknown) => {
    throw translate(thrown)
  })
  const handle = new UnitHandle(client)
  let broken = false
  try {
    await native(client, `begin isolation level read committed; ${raiseGuard(quote(schema))}`)
    await native(client, 'select pg_advisory_xact_lock(hashtextextended($1, 0))', [`spillway ${schema}`])
    await setup(handle)
    await handle.idle()
    if (handle.refusal !== undefined) throw handle.refusal
    // What failed and was kept to itself has aborted the transaction, unless a savepoint kept it in bounds.
    await native(client, closeGuard).catch((thrown: SpillwayError) => {
      throw sqlState(thrown.cause) === aborted ? handle.failure : thrown
    })
    await client.query('commit')
  } catch (thrown) {
    await client.query('rollback').catch(() => {
      broken = true
    })
    throw thrown
  } finally {
    handle.refuse(closed)
    client.release(broken)
  }
}

async function native(client: PgSession, text: string, values?: unknown[]): Promise<void> {
  await client.query(text, values).catch((thrown: unknown) => {
    throw translate(thrown)
  })
}

type StatementName =
  | 'commit'
  | 'commitAnswer'
  | 'answer'
  | 'rewind'
  | 'handled'
  | 'acquire'
  | 'prune'
  | 'cancel'

/** For how long a transaction of a user is expected to be open; a queue that got something in a longer one is looked at by its poll. */
const joinedMs = 10_000
/** What one call of `prune` removes at most. */
const pruneLimit = 5_000

function statements(schema: string): Record<StatementName, Statement> {
  const texts: Record<StatementName, string> = {
    commit: `select ${schema}.commit_unit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) as outcome`,
    commitAnswer: `select ${schema}.commit_answer($1, $2, $3, $4, $5, $6, $7, $8) as outcome`,
    answer: `select answer from ${schema}.inbox where consumer = $1 and id = $2`,
    rewind: `select ${schema}.go_back($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as outcome`,
    handled: `select array(select id from ${schema}.inbox where consumer = $1 and id = any($2::text[])) as ids,
  (select ceil(extract(epoch from up_to) * 1000)::float8 from ${schema}.inbox_pruned) as "prunedUpTo"`,
    acquire: `select generation::float8, low::float8, sequences, finished::float8[] from ${schema}.acquire($1, $2, $3)`,
    prune: `select ${schema}.prune_inbox($1::float8, ${pruneLimit})::float8 as removed`,
    cancel: 'select pg_cancel_backend($1)',
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { name: `spillway_${name}`, text }]),
  ) as Record<StatementName, Statement>
}

/** A unit without effects of which some messages are stored in their queues. */
function commitStraight(schema: string, home: QueueHome): Statement {
  const commit = `${schema}.commit_unit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
  return {
    name: 'spillway_commit_straight',
    text: `select u.outcome, case when u.outcome = 'committed' then ${home.call(schema, '$15')} end
from (select ${commit} as outcome offset 0) u`,
  }
}

interface AcquiredRow {
  readonly generation: number
  readonly low: number | null
  readonly sequences: string
  readonly finished: number[]
}

class PostgresDatabase implements Database<PgQueryable> {
  readonly name: string
  readonly db: PgQueryable
  readonly outbox: PostgresOutbox
  readonly parking: ParkingPort
  readonly sagas: SagaPort
  readonly #pool: PgPool
  readonly #connection: Connection
  readonly #schema: string
  readonly #sql: Record<StatementName, Statement>
  #home: QueueHome | undefined
  /** Queues that got messages of transactions of users, and when last: which of those is committed nobody says. */
  readonly #joined = new Map<number, number>()
  readonly #units = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(name: string, pool: PgPool, connection: Connection, schema: string, producerId: string) {
    this.name = name
    this.#pool = pool
    this.#connection = connection
    this.#schema = schema
    this.#sql = statements(schema)
    this.parking = new PostgresParking(connection, schema)
    this.sagas = new PostgresSagas(connection, schema)
    this.outbox = new PostgresOutbox(connection, schema, producerId)
    this.db = {
      query: async <Row>(query: string | PgQuery, values?: unknown[]) => {
        if (this.#closing !== undefined) throw closed()
        return (await pool.query(query, values)) as PgResult<Row>
      },
    }
  }

  async commit(unit: CommitUnit<PgQueryable>): Promise<CommitOutcome> {
    if (this.#closing !== undefined) throw closed()
    checkUnit(unit)
    const alone =
      unit.effects === undefined &&
      unit.park === undefined &&
      unit.unpark === undefined &&
      unit.saga === undefined
    const work = alone ? this.#commitAlone(unit) : this.#commitInSteps(unit)
    this.#units.add(work)
    try {
      const outcome = await work
      if (outcome === 'committed' && this.#home !== undefined) this.#tell(unit.outbox)
      return outcome
    } finally {
      this.#units.delete(work)
    }
  }

  async handled(consumer: string, ids: readonly string[]): Promise<Handled> {
    const values = [consumer, textArray(ids)]
    const rows = await this.#connection.run<{ ids: string[]; prunedUpTo: number | null }>(
      this.#sql.handled,
      values,
    )
    const { ids: known, prunedUpTo } = rows[0]!
    return { ids: new Set(known), prunedUpTo: prunedUpTo ?? undefined }
  }

  async answer(consumer: string, id: string): Promise<string | undefined> {
    const rows = await this.#connection.run<{ answer: string | null }>(this.#sql.answer, [consumer, id])
    return rows[0]?.answer ?? undefined
  }

  async acquire(stream: string, group: string, partition: number): Promise<HeldPartition> {
    const values = [stream, group, partition]
    const row = (await this.#connection.run<AcquiredRow>(this.#sql.acquire, values))[0]!
    return {
      generation: row.generation,
      position: row.low,
      finished: row.finished,
      sequences: JSON.parse(row.sequences) as Record<string, number>,
    }
  }

  async rewind(order: Progress, to: Rewind): Promise<CommitOutcome> {
    const rows = await this.#connection.run<{ outcome: CommitOutcome }>(this.#sql.rewind, [
      order.stream,
      order.group,
      order.partition,
      order.generation,
      order.finished ?? null,
      order.low,
      JSON.stringify(order.sequences),
      to.stream,
      to.group,
      to.partition,
      to.generation,
      to.position,
      to.low,
    ])
    return rows[0]!.outcome
  }

  join(tx: unknown): JoinedOutbox {
    if (this.#closing !== undefined) throw closed()
    const { producerId } = this.outbox
    const noted = (queue: number) => void this.#joined.set(queue, performance.now())
    return joinOutbox({ schema: this.#schema, producerId, home: this.#home, noted }, tx)
  }

  async adopt(home: object): Promise<boolean> {
    if (!(home instanceof QueueHome || home instanceof StreamHome)) return false
    const within = (await isWithin(this.#pool, home)) ? home : undefined
    if (home instanceof QueueHome) this.#home = within as QueueHome | undefined
    else this.outbox.streams = within as StreamHome | undefined
    return within !== undefined
  }

  passesOutbox(message: OutboxMessage): boolean {
    return this.#home?.queueOf(message) !== undefined
  }

  committed(): void {
    this.#home?.stored([...this.#joined.keys()])
    const now = performance.now()
    for (const [queue, at] of this.#joined) if (now - at > joinedMs) this.#joined.delete(queue)
  }

  async prune(before: number): Promise<number> {
    return (await this.#connection.run<{ removed: number }>(this.#sql.prune, [before]))[0]!.removed
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled([...this.#units])
      await this.#connection.end()
    })()
    return this.#closing
  }

  #tell(messages: readonly OutboxMessage[]): void {
    const queues = messages.map((message) => this.#home!.queueOf(message))
    this.#home!.stored(queues.filter((queue) => queue !== undefined))
  }

  async #commitAlone(unit: CommitUnit<PgQueryable>): Promise<CommitOutcome> {
    const { inbox, progress, outbox: all } = unit
    checkOutbox(all)
    const [straight, outbox] = parted(all, this.#home)
    if (inbox?.answer)
      return straight.length > 0
        ? this.#commitInSteps(unit)
        : this.#commitAnswer(inbox, inbox.answer(), outbox)
    const statement = straight.length === 0 ? this.#sql.commit : commitStraight(this.#schema, this.#home!)
    const rows = await this.#connection.run<{ outcome: CommitOutcome }>(statement, [
      inbox?.consumer ?? null,
      inbox === undefined ? null : textArray(inbox.ids),
      progress?.stream ?? null,
      progress?.group ?? null,
      progress?.partition ?? null,
      progress?.generation ?? null,
      progress?.finished ?? null,
      progress?.low ?? null,
      progress === undefined ? null : JSON.stringify(progress.sequences),
      ...columnsOf(outbox),
      ...(straight.length === 0 ? [] : [written(straight)]),
    ])
    return rows[0]!.outcome
  }

  async #commitAnswer(
    { consumer, ids }: InboxEntry,
    answer: string,
    outbox: readonly OutboxMessage[],
  ): Promise<CommitOutcome> {
    checkRow({ body: answer })
    const values = [consumer, ids[0]!, answer, ...columnsOf(outbox)]
    const rows = await this.#connection.run<{ outcome: CommitOutcome }>(this.#sql.commitAnswer, values)
    return rows[0]!.outcome
  }

  async #commitInSteps(unit: CommitUnit<PgQueryable>): Promise<CommitOutcome> {
    // A new connection is ours, not the handler's.
    const client = await withoutWatch(() => checkOut(this.#pool)).catch((thrown: unknown) => {
      throw translate(thrown)
    })
    return await commitWithEffects({
      client,
      schema: this.#schema,
      home: this.#home,
      unit,
      check: checkOutbox,
      cancel: (pid) => withoutWatch(() => this.#connection.run(this.#sql.cancel, [pid])),
    })
  }
}

/** Messages as the arrays that the functions take. */
function columnsOf(outbox: readonly OutboxMessage[]): Buffer[] {
  return [
    textArray(outbox.map(({ destination }) => destination.kind)),
    textArray(outbox.map(({ destination }) => destination.name)),
    textArray(outbox.map(({ id }) => id)),
    textArray(outbox.map(({ key }) => key)),
    textArray(outbox.map(({ body }) => body)),
  ]
}

function checkUnit({ inbox, timeoutMs }: CommitUnit<PgQueryable>): void {
  if (!(timeoutMs > 0))
    throw new SpillwayError('INVALID_OPTION', `timeoutMs is ${timeoutMs}; it must be more than 0.`)
  if (inbox === undefined) return
  checkText(inbox.consumer, 'The name of a consumer')
  for (const id of inbox.ids) checkText(id, 'A message id')
}

function checkOutbox(outbox: readonly OutboxMessage[]): void {
  for (const message of outbox) checkRow(message, message.id)
}
