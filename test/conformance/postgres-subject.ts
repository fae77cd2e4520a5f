// What the cases need of a PostgreSQL server: databases, for those of the database port.
import pg from 'pg'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { Database } from '../../src/ports/database.ts'
import { type DatabaseSubject, databaseSubject } from '../../src/testing/conformance/index.ts'

let schemas = 0

/** A schema stands for a database: Spillway's tables are in one of their own beside it. */
export async function postgresSubject(
  url: string,
  planted: (database: Database<PgQueryable>) => Database<PgQueryable> = (database) => database,
  /** Behind a pooler nobody listens. */
  listen = true,
): Promise<DatabaseSubject> {
  const admin = new pg.Pool({ connectionString: url, max: 2 })
  // A server that stops ends idle connections, and an error that nobody listens for ends the process.
  admin.on('error', () => {})
  const subject = await databaseSubject({
    driver: 'asynchronous',
    async create() {
      const schema = `test${++schemas}`
      await admin.query(`create schema ${schema}; create table ${schema}.effect (id text primary key)`)
      return {
        open: async (service) => planted(await postgresDatabase({ url, schema, poolSize: 5 }).open(service)),
        insert: (db: PgQueryable, id) => db.query(`insert into ${schema}.effect values ($1)`, [id]),
        async count(db: PgQueryable, prefix) {
          const text = `select count(*)::int as count from ${schema}.effect where starts_with(id, $1)`
          const { rows } = await db.query(text, [prefix])
          return (rows[0] as { count: number }).count
        },
        async connect() {
          const client = new pg.Client({ connectionString: url })
          client.on('error', () => {})
          await client.connect()
          return {
            tx: client,
            begin: async () => void (await client.query('begin')),
            end: async (how) => void (await client.query(how)),
            insert: (id) => client.query(`insert into ${schema}.effect values ($1)`, [id]),
            [Symbol.asyncDispose]: () => client.end(),
          }
        },
        openEngine: () => postgres({ url, schema: `${schema}engine`, poolSize: 3, listen }),
        async remove() {
          await admin.query(`drop schema ${schema} cascade; drop schema if exists ${schema}engine cascade`)
        },
      }
    },
  })
  return {
    ...subject,
    async close() {
      await subject.close()
      await admin.end()
    },
  }
}
