import { context, queue, run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

const bank = context('bank', {
  queues: { charge: queue({ data: z.object({ invoice: z.string(), cents: z.int() }) }) },
})
const database = sqliteDatabase('./bank.db', {
  setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS charge (invoice TEXT, cents INTEGER)'),
})
const banks = service(bank, { database, inbox: { keep: '14d' } }).work(
  bank.queues.charge,
  async ({ data: { invoice, cents } }, { commit }) => {
    await commit(({ db }) => db.prepare('INSERT INTO charge VALUES (?, ?)').run(invoice, cents))
  },
)

const running = await run(topology({ contexts: [banks], engine: 'sqlite:./data' }))
const charges = running.queue(bank.queues.charge)

// A sender that does not know whether its message arrived sends it again, with the same id.
for (let unsure = 0; unsure < 3; unsure++)
  await charges.send({ invoice: 'A', cents: 500 }, { id: 'charge-A' })
await running.drained()
console.log(running.service(banks).database?.db.prepare('SELECT * FROM charge').all().length)

// What was parked because it was older than the window: looked at, then run.
for (const { id, reason } of await charges.deadLetters()) console.log(id, reason)
console.log(await charges.redriveAll({ reason: 'TOO_OLD' }))
await running.stop()
