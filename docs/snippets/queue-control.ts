import { isSpillwayError, open } from 'spillway'
import { z } from 'zod'

await using spillway = await open('sqlite:./data')
const films = await spillway.queue('films', {
  data: z.object({ title: z.string() }),
  retry: { attempts: 2, initial: '10ms' },
})

await films.pause() // in every process, until resume()
const [short, , broken] = await films.sendMany([{ title: 'short' }, { title: 'long' }, { title: 'broken' }])
for (const { id, state, message } of await films.peek()) console.log(id, state, message?.data.title)
console.log(await films.cancel(short!)) // removed

const begun = Promise.withResolvers<string>()
const consumer = films.consume(async ({ id, data }, { signal }) => {
  if (data.title === 'broken') throw new Error('frame 12 is missing')
  begun.resolve(id)
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  console.log(isSpillwayError(signal.reason, 'CANCELLED')) // true, two seconds later at most
})
await films.resume()
console.log(await films.cancel(await begun.promise)) // signalled

while ((await films.count()).dead === 0) await new Promise((resolve) => setTimeout(resolve, 20))
const [dead] = await films.deadLetters()
console.log(
  dead?.id === broken,
  dead?.reason,
  dead?.history.map(({ reason }) => reason),
)
await consumer.stop()

console.log(await films.redriveAll({ reason: /frame \d+/ })) // 1: back in the queue, with its id and no attempts
console.log(await films.purge('waiting')) // 1
