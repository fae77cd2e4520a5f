// What Spillway needs of the client library `pg`: structural types, so that any compatible pool fits, and its import.
import { asError, SpillwayError } from '../../core/errors.ts'
import { readTls, type TlsFiles } from '../../core/tls.ts'

export interface PgResult<Row = Record<string, unknown>> {
  readonly rows: Row[]
  readonly rowCount: number | null
}

export interface PgQuery {
  readonly text: string
  readonly values?: unknown[]
  /** The name of a prepared statement. */
  readonly name?: string
  /** How long to wait for the answer, in milliseconds; the connection is of no use after that. */
  readonly query_timeout?: number
}

/** Runs SQL: a pool, a client, or the handle of a transaction. */
export interface PgQueryable {
  query<Row = Record<string, unknown>>(query: string | PgQuery, values?: unknown[]): Promise<PgResult<Row>>
}

/** What Spillway uses of a pool or client; `pg` and what is made like it have it. */
export interface PgLink {
  query(query: string | PgQuery, values?: unknown[]): Promise<unknown>
}

/** One connection, until it is released. */
export interface PgSession extends PgLink {
  release(destroy?: boolean): void
}

export interface PgClient extends PgSession {
  on(event: 'notification', listener: (message: PgNotification) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
}

export interface PgNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/** A pool of connections, as `pg.Pool` is one. It must take a Buffer as a parameter in binary format, as `pg` does. */
export interface PgPool extends PgLink {
  connect(): Promise<PgClient>
  on?(event: 'connect', listener: (client: PgClient) => void): unknown
}

/** A pool that Spillway made for itself, and ends itself. */
export interface OwnPool extends PgPool {
  end(): Promise<void>
}

export interface PoolSettings {
  readonly url: string
  readonly size: number
  /** In place of what the url says of it. */
  readonly tls?: boolean | TlsFiles | undefined
  /** Settings of every session, for servers that are reached directly. */
  readonly session?: Readonly<Record<string, string>>
}

/** How long a connection attempt and a statement of Spillway's own may take before they count as unanswered. */
const connectTimeoutMs = 10_000
export const queryTimeoutMs = 30_000

/** Makes a pool. It connects when it is first used. */
export async function createPool(settings: PoolSettings): Promise<OwnPool> {
  const tls = readTls('postgres', settings.tls)
  checkTlsFiles(settings.url)
  const pg = await loadPg()
  const pool = new pg.Pool({
    ...(settings.tls === undefined ? {} : { ssl: tls ?? false }),
    connectionString: withSession(
      // As it is written in full: the client library has rules of its own for spaces.
      without(settings.tls === undefined ? [] : tlsParameters, settings.url),
      settings.session,
    ),
    max: settings.size,
    fallback_application_name: 'spillway',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  })
  // An idle connection that breaks is dropped by the pool; unheard, its 'error' would end the process.
  pool.on('error', () => {})
  return pool
}

async function loadPg(): Promise<Pick<typeof import('pg'), 'Pool'>> {
  try {
    return (await import('pg')).default
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw asError(thrown)
    throw new SpillwayError(
      'CLIENT_MISSING',
      "The engine 'postgres' needs the package pg: run `npm install pg`.",
      { engine: 'postgres', cause: thrown },
    )
  }
}

const tlsParameters = [
  'ssl',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslnegotiation',
  'uselibpqcompat',
]

/** `pg` reads them when it connects, again and again; what is wrong with them is told at once. */
function checkTlsFiles(url: string): void {
  const { searchParams } = new URL(url)
  const [ca, cert, key] = ['sslrootcert', 'sslcert', 'sslkey'].map((name) => searchParams.get(name))
  readTls('postgres', { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) })
}

function without(names: readonly string[], url: string): string {
  const parsed = new URL(url)
  for (const name of names) parsed.searchParams.delete(name)
  return parsed.href
}

function withSession(url: string, session: Readonly<Record<string, string>> = {}): string {
  const settings = Object.entries(session).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`,
  )
  if (settings.length === 0) return url
  const parsed = new URL(url)
  const given = parsed.searchParams.get('options')
  // The user's come last, and win.
  parsed.searchParams.set('options', [...settings, ...(given === null ? [] : [given])].join(' '))
  return parsed.href
}

/** A client out of the pool. A connection that breaks between two queries is told of by the next one. */
export async function checkOut(pool: PgPool): Promise<PgClient> {
  // From its first moment: a pool hands a client over some turns before who awaits it can listen.
  if (firstTime(pool)) pool.on?.('connect', hear)
  const client = await pool.connect()
  hear(client)
  return client
}

const known = new WeakSet<object>()

function firstTime(thing: object): boolean {
  if (known.has(thing)) return false
  known.add(thing)
  return true
}

/** For good, once: unheard, an 'error' would end the process. */
function hear(client: PgClient): void {
  if (firstTime(client)) client.on('error', () => {})
}
