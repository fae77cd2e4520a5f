// What the services of a shop have in their tables, read from outside while they run or after they ended.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export type Cell = string | number | null

/** The rows of a query on a service's database; empty while the table is not there yet. */
export function query(folder: string, service: string, sql: string): Cell[][] {
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

/** How many rows a table has. */
export function rows(folder: string, service: string, table: string): number {
  return Number(query(folder, service, `SELECT count(*) FROM ${table}`)[0]?.[0] ?? 0)
}

/** A query of two columns as an object. */
export function pairs(folder: string, service: string, sql: string): Record<string, number> {
  return Object.fromEntries(query(folder, service, sql).map(([name, value]) => [String(name), Number(value)]))
}
