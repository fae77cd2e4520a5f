// A process that answers a command and is killed by its test. Its argument is its database, a file or the url of a PostgreSQL with a schema; it says where it
// listens, and lives as long as its parent.
import { setTimeout as sleep } from 'node:timers/promises'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { run, service, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import { saleTable, till } from './till.ts'

process.on('disconnect', () => process.exit())
const kept = process.argv[2]!
/** Long enough to be killed between the commit and the answer. */
const betweenMs = 60

function onSqlite() {
  const database = sqliteDatabase(kept, {
    setup: (db) =>
      db.exec('CREATE TABLE IF NOT EXISTS sale (number INTEGER PRIMARY KEY, item TEXT NOT NULL)'),
  })
  return service(till, { database }).answer(till.calls.sell, async ({ item }, { commit }) => {
    const answer = await commit(({ db }) => ({
      number: Number(db.prepare('INSERT INTO sale (item) VALUES (?)').run(item).lastInsertRowid),
    }))
    await sleep(betweenMs)
    return answer
  })
}

function onPostgres() {
  const table = saleTable(kept)
  const database = postgresDatabase({
    url: kept,
    poolSize: 4,
    setup: (db) =>
      db.query(`create table if not exists ${table} (number serial primary key, item text not null)`),
  })
  return service(till, { database }).answer(till.calls.sell, async ({ item }, { commit }) => {
    const answer = await commit(async ({ db }) => {
      const { rows } = await db.query<{ number: number }>(
        `insert into ${table} (item) values ($1) returning number`,
        [item],
      )
      // And to be killed inside the transaction.
      await db.query('select pg_sleep(0.01)')
      return { number: rows[0]!.number }
    })
    await sleep(betweenMs)
    return answer
  })
}

const answers = kept.startsWith('postgres') ? onPostgres() : onSqlite()
const running = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
process.send!(running.address)
