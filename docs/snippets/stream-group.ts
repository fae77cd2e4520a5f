import { deadLetter, open } from 'spillway'
import { z } from 'zod'

const Reading = z.object({ sensor: z.string(), celsius: z.number() })

const spillway = await open('sqlite:./data')
const readings = await spillway.stream('readings', { data: Reading, key: (reading) => reading.sensor })
await readings.appendMany([11.5, -999, 12].map((celsius) => ({ sensor: 'cellar', celsius })))

let broken = true
const seen: number[] = []
const alarms = readings.subscribe('alarms', ({ data }) => {
  if (broken && data.celsius < -273) return deadLetter('no such temperature')
  seen.push(data.celsius)
})

const group = readings.group('alarms')
while ((await group.lag()).total > 0) await new Promise((resolve) => setTimeout(resolve, 50))
for (const { reason, position } of await group.deadLetters()) console.log(position, reason)

// Mended: handle again what died of it. The group's members do that while they run.
broken = false
await group.redrive(({ reason }) => reason === 'no such temperature')
while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 50))

// And everything of the last hour once more. Other groups notice nothing.
await group.replay(new Date(Date.now() - 3_600_000))
while (seen.length < 6) await new Promise((resolve) => setTimeout(resolve, 50))
console.log(seen)

await alarms.stop()
await spillway.close()
