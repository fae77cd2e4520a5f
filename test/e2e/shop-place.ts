// Where a shop has its databases, and what its services have in their tables there: read from outside, while they run or after they ended.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { noteAddress } from '../../examples/shop/delivery/tables.ts'

export type Cell = string | number | null

export interface Place {
  readonly folder: string
  /** Where queues and streams are: a url. */
  readonly engine: string
  /** What `spillway up` reads. */
  readonly config: string
  /** The rows of a query on a service's database; empty while the table is not there yet. */
  query(service: string, sql: string): Promise<Cell[][]>
  /** A table of a service in a query, and one that is Spillway's. */
  table(service: string, name: string): string
  spillways(service: string, name: string): string
  /** What the operator does in the database of the delivery. */
  noteAddress(invoice: string, country: string): Promise<unknown>
  close(): Promise<void>
}

export function onSqlite(folder: string): Place {
  return {
    folder,
    engine: `sqlite:${join(folder, 'spillway')}`,
    config: 'examples/shop/spillway.config.ts',
    query: async (service, sql) => queryFile(folder, service, sql),
    table: (_, name) => name,
    spillways: (service, name) => `spillway_${service}_${name}`,
    async noteAddress(invoice, country) {
      const delivery = new DatabaseSync(join(folder, 'delivery.sqlite'), { timeout: 5_000 })
      noteAddress(delivery, invoice, country)
      delivery.close()
    },
    close: async () => {},
  }
}

/** What stays on SQLite there. */
const onFiles = new Set(['notifications', 'pictures'])

export function onPostgres(folder: string, url: string): Place {
  const pool = new pg.Pool({ connectionString: withoutOurs(url), max: 2, types: numbers })
  // A server that goes away under it is no failure of the test.
  pool.on('error', () => {})
  const files = onSqlite(folder)
  const schema = new URL(url).searchParams.get('schema') ?? 'spillway'
  return {
    ...files,
    engine: url,
    config: 'test/e2e/shop-on-postgres/spillway.config.ts',
    async query(service, sql) {
      if (onFiles.has(service)) return files.query(service, sql)
      try {
        return (await pool.query<Cell[]>({ text: sql, rowMode: 'array' })).rows
      } catch (thrown) {
        if (/does not exist/.test(String(thrown))) return []
        throw thrown
      }
    },
    table: (service, name) => (onFiles.has(service) ? name : `${service}.${name}`),
    spillways: (service, name) =>
      onFiles.has(service) ? files.spillways(service, name) : `${schema}_${service}.${name}`,
    noteAddress: (invoice, country) =>
      pool.query('insert into delivery.addresses values ($1, $2)', [invoice, country]),
    close: () => pool.end(),
  }
}

/** Counts and sums are numbers. */
const numbers = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    type === pg.types.builtins.INT8 || type === pg.types.builtins.NUMERIC
      ? Number
      : pg.types.getTypeParser(type, format),
} as unknown as pg.CustomTypesConfig

function queryFile(folder: string, service: string, sql: string): Cell[][] {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(join(folder, `${service}.sqlite`), { readOnly: true, timeout: 5_000 })
    return db
      .prepare(sql)
      .all()
      .map((row) => Object.values(row) as Cell[])
  } catch (thrown) {
    if (/no such table|unable to open/.test(String(thrown))) return []
    throw thrown
  } finally {
    db?.close()
  }
}

/** The client library does not know what is for Spillway. */
function withoutOurs(url: string): string {
  const plain = new URL(url)
  plain.searchParams.delete('schema')
  return plain.href
}
