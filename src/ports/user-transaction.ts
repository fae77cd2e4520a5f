// Transactions that a user already has, as the drivers and query builders give them. The least that each must have,
// so that no version of them is asked for and none is imported.

/** A client of `pg` between BEGIN and COMMIT, or what is made like it. */
export interface PgTransaction {
  query(text: string, values?: unknown[]): Promise<unknown>
}

/** Kysely's, as `db.transaction().execute(…)` gives it. */
export interface KyselyTransaction {
  readonly isTransaction: boolean
  executeQuery(query: never): Promise<unknown>
}

/** Drizzle's on PostgreSQL, as `db.transaction(…)` gives it. */
export interface DrizzleTransaction {
  execute(query: string): PromiseLike<unknown>
  rollback(): never
}

/** Prisma's on PostgreSQL, as the interactive `$transaction(async (tx) => …)` gives it. */
export interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: never[]): PromiseLike<unknown>
}

/** Knex's on PostgreSQL, as `knex.transaction(…)` gives it. */
export interface KnexTransaction {
  readonly isTransaction?: boolean
  raw(sql: string, bindings: readonly string[]): PromiseLike<unknown>
}

export type AsynchronousTransaction =
  | PgTransaction
  | KyselyTransaction
  | DrizzleTransaction
  | PrismaTransaction
  | KnexTransaction

/** A handle of better-sqlite3 or node:sqlite between BEGIN and COMMIT. */
export interface SqliteTransaction {
  exec(sql: string): unknown
  prepare(sql: string): unknown
}

/** The kinds in words, for errors. */
export const postgresKinds =
  'a client of `pg` after BEGIN, or a transaction of Kysely, Drizzle, Prisma or Knex on PostgreSQL'
export const sqliteKinds = 'a handle of better-sqlite3 or node:sqlite after BEGIN'
