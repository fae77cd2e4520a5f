// A worker of the queue in the folder that it is given: it writes down every start, dies of the message that is poison, and ends
// when nothing is left. Usage: poison.ts <folder> <concurrency>
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from '../../src/index.ts'
import { journalFile, poison, work } from './poison-queue.ts'

/** The poison acts while those that were begun with it are still at work. */
const poisonMs = 50
const handlingMs = 150

const [folder = '', concurrency = ''] = process.argv.slice(2)
const journal = join(folder, journalFile)
await using spillway = await open(`sqlite:${folder}`)
const queue = await spillway.queue(work)

const consumer = queue.consume(
  async ({ data }, { attempt }) => {
    appendFileSync(journal, `${data} ${attempt}\n`)
    await delay(data === poison ? poisonMs : handlingMs)
    if (data === poison) process.kill(process.pid, 'SIGKILL')
  },
  { concurrency: Number(concurrency), lease: '300ms' },
)

for (;;) {
  const { ready, delayed, leased } = await queue.count()
  if (ready + delayed + leased === 0) break
  await delay(20)
}
await consumer.stop()
