// The conformance suites on SQLite: the engine, and the database with both drivers that it takes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import BetterSqlite3 from 'better-sqlite3'
import { afterAll, describe } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import type { SqliteHandle } from '../../src/engines/sqlite/handle.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'
import {
  type DatabaseSubject,
  databaseSubject,
  databaseSuite,
  engineSubject,
  engineSuite,
  groupSuite,
  limitSubject,
  limitSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'
import { certifyProcesses } from './limit-processes.ts'
import { userConnection } from './sqlite-user.ts'

const folder = await mkdtemp(join(tmpdir(), 'spillway-conformance-'))
afterAll(() => rm(folder, { recursive: true }))

certify('sqlite', { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }, () => {
  const address = { engine: 'sqlite', path: join(folder, 'engine') } as const
  return engineSubject({
    openEngine: (options) => openAt(address, options),
    startMember: distantMembers(address),
    retainsWithinMs: 10_000,
    compactsWithinMs: 20_000,
  })
})

certify('sqlite limits', { limit: limitSuite }, () =>
  limitSubject({
    async open() {
      const engine = await openAt({ engine: 'sqlite', path: join(folder, 'limits') })
      return { limit: engine.limit!, close: () => engine.close() }
    },
  }),
)

describe('sqlite limits, several processes', () => {
  certifyProcesses(() => ({ engine: 'sqlite', path: join(folder, 'processes') }))
})

const ownTable = 'CREATE TABLE IF NOT EXISTS effect (id TEXT PRIMARY KEY)'
const countRows = 'SELECT count(*) AS count FROM effect WHERE substr(id, 1, length(?)) = ?'

let files = 0

/** Databases in files of their own, opened as the driver in question opens them; and how a user of it opens one. */
function subject(
  source: (path: string) => DatabaseSource<SqliteHandle>,
  handle: (path: string) => SqliteHandle,
): Promise<DatabaseSubject> {
  return databaseSubject({
    driver: 'synchronous',
    async create() {
      const path = join(folder, `database-${++files}.db`)
      return {
        open: (service) => source(path).open(service),
        insert: (db: SqliteHandle, id) => void db.prepare('INSERT INTO effect VALUES (?)').run(id),
        count: async (db: SqliteHandle, prefix) =>
          (db.prepare(countRows).get(prefix, prefix) as { count: number }).count,
        connect: async () => userConnection(handle(path)),
        async remove() {},
      }
    },
  })
}

certify('sqlite database (node:sqlite)', { database: databaseSuite }, () =>
  subject(
    (path) => sqliteDatabase(path, { setup: (db) => db.exec(ownTable) }),
    (path) => new DatabaseSync(path),
  ),
)

certify('sqlite database (better-sqlite3)', { database: databaseSuite }, () =>
  subject(
    (path) => ({
      async open(service) {
        const handle = new BetterSqlite3(path)
        handle.pragma('journal_mode = WAL')
        handle.exec(ownTable)
        return sqliteDatabase(handle).open(service)
      },
    }),
    (path) => new BetterSqlite3(path),
  ),
)
