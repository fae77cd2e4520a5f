// The kinds of transactions that users have on PostgreSQL, each as its own documentation begins and ends it.
import { sql as drizzleSql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import knexOf from 'knex'
import { CamelCasePlugin, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { AsynchronousTransaction } from '../../src/index.ts'
import { looking } from './on-servers.ts'
import { prismaClient } from './prisma.ts'

export interface UserKind {
  readonly name: string
  open(url: string): Promise<UserDatabase>
}

export interface UserDatabase {
  /** Runs `work` in a transaction; one that throws is rolled back. */
  transaction(
    work: (tx: AsynchronousTransaction, run: (text: string) => Promise<unknown>) => Promise<void>,
  ): Promise<void>
  /** The same thing outside a transaction. */
  readonly outside: AsynchronousTransaction
  close(): Promise<unknown>
}

export const userKinds: readonly UserKind[] = [
  {
    name: 'pg',
    async open(url) {
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => {})
      await client.connect()
      return {
        async transaction(work) {
          await client.query('begin')
          try {
            await work(client, (text) => client.query(text))
            await client.query('commit')
          } catch (thrown) {
            await client.query('rollback')
            throw thrown
          }
        },
        outside: client,
        close: () => client.end(),
      }
    },
  },
  {
    name: 'Kysely',
    async open(url) {
      const dialect = new PostgresDialect({ pool: looking(url, 2) })
      const db = new Kysely<object>({ dialect, plugins: [new CamelCasePlugin()] })
      return {
        transaction: (work) =>
          db.transaction().execute((trx) => work(trx, (text) => sql.raw(text).execute(trx))),
        outside: db,
        close: () => db.destroy(),
      }
    },
  },
  {
    name: 'Drizzle',
    async open(url) {
      const pool = looking(url, 2)
      const db = drizzle(pool)
      return {
        transaction: (work) =>
          db.transaction((tx) => work(tx, (text) => tx.execute(drizzleSql.raw(text)) as Promise<unknown>)),
        outside: db as unknown as AsynchronousTransaction,
        close: () => pool.end(),
      }
    },
  },
  {
    name: 'Prisma',
    async open(url) {
      const prisma = prismaClient(url)
      return {
        transaction: (work) => prisma.$transaction((tx) => work(tx, (text) => tx.$executeRawUnsafe(text))),
        outside: prisma,
        close: () => prisma.$disconnect(),
      }
    },
  },
  {
    name: 'Knex',
    async open(url) {
      const knex = knexOf({ client: 'pg', connection: url, pool: { min: 0, max: 2 } })
      return {
        transaction: (work) =>
          knex.transaction((trx) => work(trx, async (text) => (await trx.raw(text)) as unknown)),
        outside: knex,
        close: () => knex.destroy(),
      }
    },
  },
]
