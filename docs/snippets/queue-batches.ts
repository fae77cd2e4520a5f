import { deadLetter, open, retry } from 'spillway'
import { z } from 'zod'

await using spillway = await open('sqlite:./data')
const rows = await spillway.queue('rows', { data: z.object({ n: z.int() }) })
await rows.sendMany(Array.from({ length: 250 }, (_, n) => ({ n })))

const seen = new Set<number>()
const done = Promise.withResolvers<void>()
const consumer = rows.consumeBatch(
  async (messages, { deliveries, signal }) => {
    signal.throwIfAborted() // throwing retries all of them
    for (const { data } of messages) seen.add(data.n)
    if (seen.size === 250) done.resolve()
    // Nothing: all are done. Or one outcome for all, or one for each, where undefined means done.
    return messages.map(({ data }, index) => {
      if (data.n === 13) return deadLetter('no such row')
      return data.n === 14 && deliveries[index]?.attempt === 1 ? retry({ after: '10ms' }) : undefined
    })
  },
  { size: 100, wait: '50ms' }, // up to 100; the first of them waits 50 ms at most for the others
)
await done.promise
await consumer.stop()
console.log((await rows.deadLetters()).map(({ reason }) => reason)) // [ 'no such row' ]
