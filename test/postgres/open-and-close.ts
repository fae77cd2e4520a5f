// A process that uses everything once and closes it; if something is left, it does not end.
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'

const url = process.argv[2]!
const engine = await postgres({ url })
await engine.queue!.declare(['q'])
await engine.stream!.declare({ name: 's', partitions: 2 })
await engine.queue!.send('q', [{ id: 'a', body: '{}' }])
const waiting = engine.queue!.claim('q', { limit: 5, leaseMs: 1_000, waitMs: 60_000 })
const more = engine.queue!.claim('q', { limit: 5, leaseMs: 1_000, waitMs: 60_000 })
await waiting
const member = { sessionMs: 1_000, assigned() {}, async revoked() {}, failed() {} }
await engine.stream!.join('s', 'g', member)
const reading = engine.stream!.read('s', [{ partition: 0, position: 0 }], {
  maxRecords: 1,
  maxBytes: 1,
  waitMs: 60_000,
})
const database = await postgresDatabase({ url }).open('leaving')
await database.commit({ effects: (db) => db.query('select 1'), outbox: [], timeoutMs: 1_000 })
await Promise.all([engine.close(), database.close(), more, reading])
console.log('closed')
