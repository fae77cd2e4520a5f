import { context, queue, run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

const mails = context('mails', { queues: { send: queue({ data: z.object({ to: z.string() }) }) } })

// What was received is kept in ./mails.db.inbox, beside the database: the broker may go away.
const mailing = service(mails, { database: sqliteDatabase('./mails.db'), inbox: { mode: 'store' } }).work(
  mails.queues.send,
  ({ data }, { attempt }) => {
    if (data.to === 'nobody') throw new Error('no such address')
    console.log('sent to', data.to, 'at attempt', attempt)
  },
)

const running = await run(topology({ contexts: [mailing], engine: 'sqlite:./broker' }))
for (const engine of running.engines) console.log(engine.url.split('/').at(-1))
const queued = running.queue(mails.queues.send)
await queued.send({ to: 'ada@example.org' })
await running.drained()
console.log((await queued.count()).dead)
await running.stop()
