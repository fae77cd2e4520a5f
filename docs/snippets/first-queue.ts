import { open } from 'spillway'
import { z } from 'zod'

const Email = z.object({ to: z.email(), subject: z.string() })

const spillway = await open('sqlite:./data') // a folder; or postgres://…
const emails = await spillway.queue('emails', { data: Email, retry: { attempts: 8 } })

await emails.send({ to: 'ada@example.org', subject: 'Welcome' }) // resolves once it is on disk

const handled = Promise.withResolvers<void>()
const consumer = emails.consume(
  async (message, { signal, attempt }) => {
    console.log(`attempt ${attempt}: "${message.data.subject}" to ${message.data.to}`)
    signal.throwIfAborted() // pass the signal on to whatever does the work
    handled.resolve()
  },
  { concurrency: 10 },
)

await handled.promise
await consumer.stop() // finishes what is under way, gives back the rest
await spillway.close()
