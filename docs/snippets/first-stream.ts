import { open } from 'spillway'
import { z } from 'zod'

const Reading = z.object({ sensor: z.string(), celsius: z.number() })

const spillway = await open('sqlite:./data') // or postgres://…, kafka://…
const readings = await spillway.stream('readings', { data: Reading, key: (reading) => reading.sensor })

await readings.append({ sensor: 'cellar', celsius: 11.5 })
await readings.appendMany([
  { sensor: 'roof', celsius: 30.25 },
  { sensor: 'cellar', celsius: 11.6 },
])

// Every group reads every event, in order per key. Members of a group share the partitions.
const seen = Promise.withResolvers<void>()
const alarms = readings.subscribe('alarms', async (event) => {
  if (event.data.celsius > 30) console.log(`${event.data.sensor} is hot`)
  if (event.data.sensor === 'roof') seen.resolve()
})
await seen.promise
await alarms.stop()

// Events are kept: read them again at any time.
for await (const { message, position } of readings.read({ from: 'earliest' }))
  console.log(position, message.data.sensor, message.data.celsius)

await spillway.close()
