import { open } from 'spillway'
import { z } from 'zod'

const Reading = z.object({ sensor: z.string(), celsius: z.number() })

const spillway = await open('sqlite:./data')
const readings = await spillway.stream('readings', { data: Reading, key: (reading) => reading.sensor })
await readings.appendMany([11.5, 30.25, 12].map((celsius) => ({ sensor: 'cellar', celsius })))

// One by one, from a time on, to the end as it is now.
const today = new Date(new Date().setHours(0, 0, 0, 0))
for await (const { message, position } of readings.read({ from: today }))
  console.log(position, message.data.celsius)

// As many at a time as came together: for filling a view quickly.
let sum = 0
for await (const page of readings.read().pages()) for (const { message } of page) sum += message.data.celsius
console.log('sum', sum)

// The last two, and then what is appended, until the loop is left.
for await (const { message } of readings.tail(2)) {
  console.log('tail', message.data.celsius)
  if (message.data.celsius === 12) await readings.append({ sensor: 'roof', celsius: 40 })
  if (message.data.sensor === 'roof') break
}

await spillway.close()
