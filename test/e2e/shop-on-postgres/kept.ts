// Where the services of the shop keep what is theirs when that is PostgreSQL: one database, and a schema for each.
import { type PgQueryable, postgresDatabase } from '../../../src/engines/postgres/index.ts'

export type Db = PgQueryable

/** The tables of a service stand in a schema of its name. */
export function kept(url: string, service: string, tables: readonly string[]) {
  return postgresDatabase({
    url,
    poolSize: 5,
    async setup(db) {
      await db.query(`create schema if not exists ${service}`)
      for (const table of tables) await db.query(`create table if not exists ${service}.${table}`)
    },
  })
}

export async function changed(db: Db, text: string, values: readonly unknown[]): Promise<boolean> {
  return ((await db.query(text, [...values])).rowCount ?? 0) > 0
}
