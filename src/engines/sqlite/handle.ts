// The least that a database handle must have, so that every driver that has it fits.

/** What we need of a handle; node:sqlite's DatabaseSync and better-sqlite3's Database both have it. */
export interface SqliteHandle {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
}

export interface SqliteStatement {
  run(...values: (string | number | null)[]): {
    readonly changes: number | bigint
    readonly lastInsertRowid: number | bigint
  }
  get(...values: (string | number | null)[]): unknown
  all(...values: (string | number | null)[]): unknown[]
  /** Row by row, for what may be long; without it all are read. */
  iterate?(...values: (string | number | null)[]): Iterable<unknown>
}
