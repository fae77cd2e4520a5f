import { context, open, queue } from 'spillway'
import { z } from 'zod'

// The contract says how messages are kept, once, for every process that sends to the queue or works it off.
const { queues } = context('warehouse', {
  queues: {
    pack: queue({
      data: z.object({ orderId: z.string(), step: z.int(), shop: z.string(), express: z.boolean() }),
      key: (job) => job.orderId, // one at a time and in order for each order, also through retries
      priority: (job) => (job.express ? 10 : 0), // the highest first, from -100 to 100
      dedup: (job) => `${job.orderId}/${job.step}`, // no second one while one is in the queue
      group: (job) => job.shop, // shops take turns, whatever the length of their backlogs,
      groupConcurrency: 5, //      and none has more than five messages handled at once
      maxConcurrency: 20, // in all processes together
      rate: { count: 100, per: '1s' }, // begun, in all processes together
      ttl: '1d', // begun within a day, or a dead letter
      deadline: '2m', // how long a handler may take
      retry: { attempts: 5, initial: '1s', max: '1m' }, // exponential, with full jitter
    }),
  },
})

await using spillway = await open('sqlite:./data')
const pack = await spillway.queue(queues.pack)

const job = { orderId: '4711', step: 1, shop: 'north', express: false }
const id = await pack.send(job)
console.log((await pack.send(job)) === id) // true: a duplicate; the first one does the work
await pack.send({ ...job, step: 2 }, { priority: 50, ttl: '10m' }) // in place of what the contract says
await pack.send({ ...job, step: 3 }, { delay: '200ms' }) // or `at: new Date(…)`
await pack.sendMany(
  [4, 5].map((step) => ({ ...job, step })),
  (each) => ({ id: `4711/${each.step}` }),
)

const steps: number[] = []
const done = Promise.withResolvers<void>()
const consumer = pack.consume(({ data }) => {
  if (steps.push(data.step) === 5) done.resolve()
})
await done.promise
await consumer.stop()
console.log(steps.join(' ')) // 1 2 3 4 5: the third was late, and the others of its key waited for it
