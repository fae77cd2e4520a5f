// postgres(): opens the engine on a PostgreSQL server, version 15 or later.
import type { TlsFiles } from '../../core/tls.ts'
import type { Durability, Engine, EngineOptions } from '../../ports/engine.ts'
import { checkOut, createPool, type OwnPool, type PgClient, type PgPool, type PgResult } from './client.ts'
import { Connection, type Statement } from './connection.ts'
import { type DurabilitySettings, durabilityOf, durabilityQuery, refuseWeak } from './durability.ts'
import { engineTables } from './engine-tables.ts'
import { translate } from './errors.ts'
import { PostgresLimit } from './limit.ts'
import { migrate } from './migrations.ts'
import { checkOption } from './options.ts'
import { placeOf } from './place.ts'
import { PostgresQueue } from './queue.ts'
import { Retention } from './retention.ts'
import { checkSchema, quote, shorten } from './schema.ts'
import { checkServer } from './server.ts'
import { sessionSettings } from './session.ts'
import { PostgresStream } from './stream.ts'
import { parseUrl } from './url.ts'
import { Wake } from './wake.ts'

export interface PostgresOptions extends EngineOptions {
  /** `postgres://user:password@host:port/database`. With `pool` it only says where that is. */
  readonly url: string
  /**
   * `true`: as Node trusts; or files or texts in PEM. In place of what the url says of it (`?sslmode=verify-full&sslrootcert=…`); with
   * `pool` it is of no use. Default: what the url says, which is no TLS where it says nothing.
   */
  readonly tls?: boolean | TlsFiles
  /** The schema for Spillway's tables; made if it does not exist. Default: what the url says (`?schema=…`), else 'spillway'. */
  readonly schema?: string
  /** How many connections there are at most, besides the one that listens. Default 10. */
  readonly poolSize?: number
  /**
   * A pool to use instead of one of our own; closing the engine leaves it open. One of its connections is kept to listen
   * on, unless `listen` is false.
   */
  readonly pool?: PgPool
  /**
   * Whether the server can be listened to, and sessions can be kept: default true. Say false, here or as `?listen=false` in the
   * url, for a connection pooler in transaction mode (PgBouncer): waiting then means asking ten times a second.
   */
  readonly listen?: boolean
  /** How often streams are looked at for what they need not keep any longer. Default 10,000. */
  readonly retentionEveryMs?: number
}

/**
 * Opens the engine and brings its tables up to date. ENGINE_UNAVAILABLE, ENGINE_TOO_OLD (before 15), STORE_FROM_FUTURE,
 * DURABILITY (with `strict`), CLIENT_MISSING.
 */
export async function postgres(options: PostgresOptions): Promise<Engine> {
  const { url, shown, schema, listen } = parseUrl(options.url)
  return await openAt(shown, {
    ...options,
    url,
    schema: options.schema ?? schema ?? 'spillway',
    listen: options.listen ?? listen ?? true,
  })
}

type Complete = PostgresOptions & Required<Pick<PostgresOptions, 'schema' | 'listen'>>

async function openAt(url: string, options: Complete): Promise<Engine> {
  const schema = checkSchema(options.schema)
  const { listen, retentionEveryMs = 10_000 } = options
  checkOption('retentionEveryMs', retentionEveryMs, 'time', 1, 2 ** 31 - 1)
  const own = options.pool === undefined ? await ownPool(options, listen) : undefined
  const pool = options.pool ?? own!
  try {
    const { durability, place } = await prepare(pool, schema)
    if (options.strict) refuseWeak(durability, url)
    const connection = new Connection(pool, { own, prepare: own !== undefined && listen })
    const listener = await listenerOf(options, pool, listen)
    const wake = new Wake({
      channel: shorten(`spillway.${schema}`),
      notify: (channel, payload) => connection.run(notifyStatement, [channel, payload]),
      listen: listener?.connect,
    })
    await wake.start()
    return new PostgresEngine(url, durability, {
      connection,
      wake,
      schema: quote(schema),
      place,
      end: listener?.end,
      retentionEveryMs,
    })
  } catch (thrown) {
    await own?.end()
    throw translate(thrown, url)
  }
}

const notifyStatement: Statement = { name: 'spillway_notify', text: 'select pg_notify($1, $2)' }

async function ownPool(options: PostgresOptions, sessions: boolean): Promise<OwnPool> {
  const size = options.poolSize ?? 10
  checkOption('poolSize', size, 'count', 2, 1_000)
  return await createPool({
    url: options.url,
    tls: options.tls,
    size,
    ...(sessions ? { session: sessionSettings } : {}),
  })
}

async function prepare(
  pool: PgPool,
  schema: string,
): Promise<{ readonly durability: Durability; readonly place: string }> {
  const client = await checkOut(pool)
  try {
    await checkServer(client)
    await migrate(client, schema, engineTables)
    const found = (await client.query(durabilityQuery)) as PgResult<DurabilitySettings>
    return { durability: durabilityOf(found.rows[0]!), place: await placeOf(client) }
  } finally {
    client.release()
  }
}

interface Listener {
  readonly connect: () => Promise<PgClient>
  readonly end?: () => Promise<void>
}

/** The connection to listen on: beside the pool when that is ours, else one that is kept out of it. */
async function listenerOf(
  options: PostgresOptions,
  pool: PgPool,
  listen: boolean,
): Promise<Listener | undefined> {
  if (!listen) return undefined
  if (options.pool !== undefined) {
    checkOption('max of the pool (with `listen`)', sizeOf(options.pool), 'count', 2)
    return { connect: () => checkOut(pool) }
  }
  const own = await createPool({ url: options.url, tls: options.tls, size: 1 })
  return { connect: () => checkOut(own), end: () => own.end() }
}

/** What a pool of `pg` says; of others nothing is known. */
function sizeOf(pool: PgPool & { readonly options?: { readonly max?: number } }): number {
  return pool.options?.max ?? Number.MAX_SAFE_INTEGER
}

interface Parts {
  readonly connection: Connection
  readonly wake: Wake
  /** Quoted. */
  readonly schema: string
  readonly place: string
  readonly end: (() => Promise<void>) | undefined
  readonly retentionEveryMs: number
}

class PostgresEngine implements Engine {
  readonly name = 'postgres'
  readonly url: string
  readonly durability: Durability
  readonly queue: PostgresQueue
  readonly stream: PostgresStream
  readonly limit: PostgresLimit
  readonly #parts: Parts
  readonly #retention: Retention
  #closing: Promise<void> | undefined

  constructor(url: string, durability: Durability, parts: Parts) {
    this.url = url
    this.durability = durability
    this.#parts = parts
    this.queue = new PostgresQueue(parts.connection, parts.wake, parts.schema, parts.place)
    this.stream = new PostgresStream(parts.connection, parts.wake, parts.schema, parts.place)
    this.limit = new PostgresLimit(parts.connection, parts.schema)
    this.#retention = new Retention(parts.connection, parts.schema, parts.retentionEveryMs)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { connection, wake, end } = this.#parts
    const ports = Promise.all([
      this.queue.close(),
      this.stream.close(),
      this.limit.close(),
      this.#retention.close(),
    ])
    wake.interrupt()
    await ports
    await wake.close()
    await Promise.all([connection.end(), end?.()])
  }
}
