import { context, open, queue } from 'spillway'
import { z } from 'zod'

const picture = z.object({ file: z.string() })
const { queues } = context('album', {
  queues: {
    resize: queue({ data: picture, flow: true, keepFinished: { for: '7d', count: 10_000 } }),
    publish: queue({ data: z.object({ album: z.string() }), flow: true }),
  },
})

await using spillway = await open('sqlite:./data')
const resize = await spillway.queue(queues.resize)
const publish = await spillway.queue(queues.publish)

const sizes = await resize.sendMany([{ file: 'small.jpg' }, { file: 'large.jpg' }])
await publish.send({ album: 'Norway' }, { after: sizes }) // when both are done, whoever does them
const { ready, waiting } = await publish.count()
console.log(ready, waiting) // 0 1

const resizing = resize.consume(async ({ data }, delivery) => {
  for (const step of [1, 2, 3, 4]) delivery.progress({ file: data.file, done: step / 4 }) // peek() shows the newest
})
const published = Promise.withResolvers<string>()
const publishing = publish.consume(({ data }) => published.resolve(data.album))
console.log(await published.promise) // Norway
await Promise.all([resizing.stop(), publishing.stop()])

const finished = await resize.finished({ limit: 10 }) // the newest first
console.log(finished.map(({ message }) => message?.data.file).sort()) // [ 'large.jpg', 'small.jpg' ]
