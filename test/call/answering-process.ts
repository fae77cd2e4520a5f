// A process that answers a command and is killed by its test. Its argument is the file of its database; it says where it listens, and lives as long as its parent.
import { setTimeout as sleep } from 'node:timers/promises'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { run, service, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import { till } from './till.ts'

process.on('disconnect', () => process.exit())
const database = sqliteDatabase(process.argv[2]!, {
  setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS sale (number INTEGER PRIMARY KEY, item TEXT NOT NULL)'),
})
const answers = service(till, { database }).answer(till.calls.sell, async ({ item }, { commit }) => {
  const answer = await commit(({ db }) => ({
    number: Number(db.prepare('INSERT INTO sale (item) VALUES (?)').run(item).lastInsertRowid),
  }))
  // Long enough to be killed between the commit and the answer.
  await sleep(60)
  return answer
})
const running = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
process.send!(running.address)
