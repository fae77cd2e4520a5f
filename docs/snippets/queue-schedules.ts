import { open } from 'spillway'
import { z } from 'zod'

await using spillway = await open('sqlite:./data')
const reports = await spillway.queue('reports', { data: z.object({ kind: z.string() }) })

// At every start of every process: what is stored already stays as it is.
await reports.schedule('nightly', { cron: '0 3 * * *', timeZone: 'Europe/Berlin' }, { kind: 'sums' })
await reports.schedule('pulse', { every: '1s', missed: 'skip' }, { kind: 'pulse' })

const first = Promise.withResolvers<string>()
const consumer = reports.consume(({ data, schedule, scheduledfor }) => {
  if (schedule === 'pulse')
    first.resolve(`${data.kind} for ${Date.parse(scheduledfor!) % 1_000} ms past a second`)
})
console.log(await first.promise) // pulse for 0 ms past a second
await consumer.stop()

await reports.unschedule('pulse')
for (const { name, cron, timeZone, missed, due } of await reports.schedules())
  console.log(name, cron, timeZone, missed, due > new Date()) // nightly 0 3 * * * Europe/Berlin once true
