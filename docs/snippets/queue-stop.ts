import { setTimeout as pause } from 'node:timers/promises'
import { open, unchecked } from 'spillway'

const spillway = await open('sqlite:./data')
const letters = await spillway.queue('letters', { data: unchecked<number>() })
await letters.sendMany([1, 2, 3])

const asked = new Promise((resolve) => process.once('SIGTERM', resolve))
const consumer = letters.consume(
  async ({ data }) => {
    if (data === 1) process.kill(process.pid, 'SIGTERM') // as whoever deploys the next version does
    await asked
    await pause(100)
    console.log('finished', data)
  },
  { concurrency: 1 },
)

await asked
await consumer.stop({ deadlineMs: 10_000 })
const { ready, leased } = await letters.count()
console.log('for the next process:', ready, leased) // for the next process: 2 0
await spillway.close()
