// The conformance suites on PostgreSQL, the oldest that we take and the newest; the engine also as behind a pooler.
import pg from 'pg'
import { afterAll, beforeAll, describe } from 'vitest'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import {
  type DatabaseSubject,
  databaseSubject,
  databaseSuite,
  type EngineSubject,
  engineSubject,
  engineSuite,
  groupSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { embeddedPostgres, type RunningServer, systemPostgres } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'

for (const launcher of [systemPostgres, embeddedPostgres]) {
  const missing = await launcher.missing()
  describe(launcher.name, () => {
    let server: RunningServer | undefined
    beforeAll(async () => {
      if (missing === undefined) server = await launcher.start({ settings: { max_connections: '300' } })
    })
    afterAll(() => server?.stop())
    const engines = { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }
    certify('engine', engines, () => engine(server!.url, true), { missing })
    if (launcher === embeddedPostgres)
      certify('engine without listening', engines, () => engine(server!.url, false), { missing })
    certify('database', { database: databaseSuite }, () => database(server!.url), { missing })
  })
}

function engine(url: string, listen: boolean): Promise<EngineSubject> {
  const address = { engine: 'postgres', url, listen } as const
  return engineSubject({
    openEngine: (options) => openAt(address, options),
    startMember: distantMembers(address),
  })
}

let schemas = 0

/** A schema stands for a database: Spillway's tables are in one of their own beside it. */
async function database(url: string): Promise<DatabaseSubject> {
  const admin = new pg.Pool({ connectionString: url, max: 2 })
  const subject = await databaseSubject({
    driver: 'asynchronous',
    async create() {
      const schema = `test${++schemas}`
      await admin.query(`create schema ${schema}; create table ${schema}.effect (id text primary key)`)
      return {
        open: (service) => postgresDatabase({ url, schema, poolSize: 5 }).open(service),
        insert: (db: PgQueryable, id) => db.query(`insert into ${schema}.effect values ($1)`, [id]),
        async count(db: PgQueryable, prefix) {
          const text = `select count(*)::int as count from ${schema}.effect where starts_with(id, $1)`
          const { rows } = await db.query(text, [prefix])
          return (rows[0] as { count: number }).count
        },
        async remove() {
          await admin.query(`drop schema ${schema} cascade`)
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
