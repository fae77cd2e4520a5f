// Pausing a queue: for every process and every claim, until it is resumed.
import assert from 'node:assert/strict'
import { fresh } from '../sample.ts'
import { notBefore, pass, soonMs, timed, within } from '../wait.ts'
import {
  counts,
  end,
  ids,
  longMs,
  look,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
  wakes,
} from './bench.ts'

export const pauseCases: readonly QueueCase[] = [
  {
    id: 'queue.pause.stops',
    title:
      'while a queue is paused no claim of any process leases anything; sends, settlements and extensions go on',
    requires: ['queue.pause'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(5))
      const [a, b, c, d] = await take(one, queue, 4)
      await two.pause(queue)
      await counts(one, queue, { ready: 1, leased: 4, paused: true })
      await nothingClaimable(one, queue, 'it is paused')
      await nothingClaimable(two, queue, 'it is paused')
      await one.send(queue, messages(1, 'n'))
      await end(one, queue, [a!])
      await end(one, queue, [b!], { kind: 'release' })
      await end(one, queue, [c!], { kind: 'dead-letter', reason: 'broken' })
      assert.deepEqual(await one.extend(queue, [d!.lease], longMs), ['extended'])
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.equal(await one.redrive(queue, [dead!.handle]), 1)
      await nothingClaimable(one, queue, 'it is paused')
      await counts(two, queue, { ready: 4, leased: 1, paused: true })
      await one.resume(queue)
      assert.deepEqual(ids(await take(two, queue, 4)).sort(), ['m1', 'm2', 'm4', 'n0'])
      await counts(one, queue, { leased: 5 })
    },
  },
  {
    id: 'queue.pause.waiting',
    title: 'a claim that waits when another process pauses the queue gets nothing, and ends in its time',
    requires: ['queue.pause'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const waiting = timed(() => two.claim(queue, { limit: 5, leaseMs: longMs, waitMs: 1_200 }))
      await pass(100)
      await one.pause(queue)
      await one.send(queue, messages(2))
      const { value, ms } = await within(1_200 + soonMs, 'the waiting claim', waiting)
      assert.deepEqual(value, [])
      notBefore(ms, 1_200, 'it went on waiting')
      await counts(one, queue, { ready: 2, paused: true })
    },
  },
  {
    id: 'queue.resume.wakes',
    title: 'a waiting claim resolves as soon as another process resumes the queue',
    requires: ['queue.pause'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.pause(queue)
      await one.send(queue, messages(2))
      assert.equal((await wakes(two, queue, () => one.resume(queue), 1)).length, 1)
      await two.pause(queue)
      assert.equal((await wakes(two, queue, () => two.resume(queue), 1)).length, 1)
    },
  },
  {
    id: 'queue.pause.stays',
    title: 'a pause stays over restarts, and over declaring the queue again, until it is resumed',
    requires: ['queue.pause', 'shared storage'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const pausing = await subject.access.openEngine()
      await pausing.queue!.pause(queue)
      await pausing.close()
      await one.send(queue, messages(1))
      const later = await subject.access.openEngine()
      try {
        await later.queue!.declare([queue])
        await later.queue!.declare([queue], {})
        await nothingClaimable(later.queue!, queue, 'it is still paused')
        await nothingClaimable(two, queue, 'it is still paused')
        await counts(later.queue!, queue, { ready: 1, paused: true })
      } finally {
        await later.close()
      }
      await two.resume(queue)
      await takeOne(one, queue)
    },
  },
  {
    id: 'queue.pause.idempotent',
    title: 'pause and resume are idempotent: one resume ends any number of pauses; other queues go on',
    requires: ['queue.pause'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const other = fresh('queue')
      await one.declare([other])
      await one.resume(queue)
      for (const port of [one, two, one]) await port.pause(queue)
      await one.send(queue, messages(1))
      await one.send(other, messages(1))
      await takeOne(two, other)
      await nothingClaimable(two, queue, 'it is paused')
      await two.resume(queue)
      await takeOne(one, queue)
      await two.resume(queue)
      await counts(one, queue, { leased: 1 })
    },
  },
  {
    id: 'queue.pause.time',
    title:
      'what becomes claimable while a queue is paused, by a retry that is due or a lease that ends, waits for resume',
    requires: ['queue.pause'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(3))
      const retried = await takeOne(one, queue)
      await takeOne(one, queue, shortMs)
      await one.pause(queue)
      await end(one, queue, [retried], { kind: 'retry', delayMs: 100 })
      const found = await two.claim(queue, { limit: 5, leaseMs: longMs, waitMs: shortMs + 200 })
      assert.deepEqual(found, [], 'nothing while it is paused')
      assert.deepEqual(await look(one, queue), [])
      await one.resume(queue)
      assert.deepEqual(ids(await take(two, queue, 3)).sort(), ['m0', 'm1', 'm2'])
    },
  },
]
