// The effects: one table in each service's database, without any unique constraint, so that a second effect would show.

import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'
import type { Numbered } from './contexts.ts'

export interface Effect extends Numbered {
  /** The message that it is an effect of: 'jobs', 'parcels', … */
  readonly channel: string
}

/** How the effects are stored, whatever the database. */
export interface Effects<Db> {
  database(name: string): DatabaseSource<Db>
  /** Inside a transaction. */
  record(db: Db, channel: string, message: Numbered): unknown
  /** The highest number of a key that a channel has, 0 without any. */
  highest(db: Db, channel: string, key: string): number | Promise<number>
  /** Inside a transaction: the next number of a key, whose row is held until the commit. Where two processes count one key, the second one waits. */
  next(db: Db, key: string): number | Promise<number>
}

const setup = `CREATE TABLE IF NOT EXISTS effect (
  place INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS counted (key TEXT PRIMARY KEY, number INTEGER NOT NULL)`

/** SQLite files in a folder; the processes of a service share its file. */
export function sqliteEffects(folder: string): Effects<DatabaseSync> {
  return {
    database: (name) => sqliteDatabase(join(folder, `${name}.db`), { setup: (db) => db.exec(setup) }),
    record: (db, channel, { id, key, number }) => {
      const insert = db.prepare('INSERT INTO effect (channel, id, key, number) VALUES (?, ?, ?, ?)')
      insert.run(channel, id, key, number)
    },
    highest: (db, channel, key) => {
      const select = db.prepare('SELECT max(number) AS n FROM effect WHERE channel = ? AND key = ?')
      return Number(select.get(channel, key)?.n ?? 0)
    },
    next: (db, key) => Number(db.prepare(nextOf('counted', '?')).get(key)!.number),
  }
}

/** Tables of the run's own in one PostgreSQL database. */
export function postgresEffects(url: string, run: string): Effects<PgQueryable> {
  // A process has one service: the name of the table goes with it.
  let table = ''
  return {
    database(name) {
      table = tableOf(run, name)
      // Processes that create one table at the same time would run into each other.
      const setup = `SELECT pg_advisory_xact_lock(4711); CREATE TABLE IF NOT EXISTS ${table} (
        place bigserial PRIMARY KEY, channel text NOT NULL, id text NOT NULL, key text NOT NULL, number integer NOT NULL);
        CREATE TABLE IF NOT EXISTS ${countedOf(table)} (key text PRIMARY KEY, number integer NOT NULL)`
      return postgresDatabase({ url, poolSize: 2, setup: (db) => db.query(setup) })
    },
    record: (db, channel, { id, key, number }) =>
      db.query(`INSERT INTO ${table} (channel, id, key, number) VALUES ($1, $2, $3, $4)`, [
        channel,
        id,
        key,
        number,
      ]),
    async highest(db, channel, key) {
      const select = `SELECT coalesce(max(number), 0) AS n FROM ${table} WHERE channel = $1 AND key = $2`
      return (await db.query<{ n: number }>(select, [channel, key])).rows[0]!.n
    },
    next: async (db, key) =>
      (await db.query<{ number: number }>(nextOf(countedOf(table), '$1'), [key])).rows[0]!.number,
  }
}

function nextOf(table: string, key: string): string {
  return `INSERT INTO ${table} AS c (key, number) VALUES (${key}, 1) ON CONFLICT (key) DO UPDATE SET number = c.number + 1 RETURNING number`
}

function countedOf(table: string): string {
  return table.replace(/"$/, '_counted"')
}

export function tableOf(run: string, service: string): string {
  return `"crash${run}_${service}"`
}
