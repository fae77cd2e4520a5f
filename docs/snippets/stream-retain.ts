import { isSpillwayError, open } from 'spillway'
import { z } from 'zod'

const Reading = z.object({ sensor: z.string(), celsius: z.number() })

const spillway = await open('sqlite:./data')
const readings = await spillway.stream('readings', {
  data: Reading,
  key: (reading) => reading.sensor,
  versions: true,
  retain: { for: '30d', bytes: '10GB' },
})
await readings.appendMany([11.5, 30.25, 12].map((celsius) => ({ sensor: 'cellar', celsius })))

// By hand: only what came last is still needed.
await readings.trim({ last: 1 })
console.log((await readings.read().toArray()).map(({ message }) => message.data.celsius))

// Versions go on counting, and who reads a key from its beginning is told that it is gone.
try {
  await readings.readKey('cellar').toArray()
} catch (error) {
  if (!isSpillwayError(error, 'EVENTS_TRIMMED')) throw error
  console.log(error.details)
}
const [last] = await readings.readKey('cellar', { partial: true }).toArray()
console.log('version', last?.version)

await spillway.close()
