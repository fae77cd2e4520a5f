// Counting: a message is in exactly one state.
import assert from 'node:assert/strict'
import { counts, longMs, messages, type QueueCase, queueBench, take } from './bench.ts'

export const countCases: readonly QueueCase[] = [
  {
    id: 'queue.count.states',
    title: 'count tells how many messages are ready, delayed, leased and dead, for every process',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await counts(two, queue, {})
      await one.send(queue, messages(10))
      await counts(two, queue, { ready: 10 })
      const [a, b, c, d, e] = await take(one, queue, 6)
      await counts(two, queue, { ready: 4, leased: 6 })
      await one.settle(queue, [
        { lease: a!.lease, kind: 'done' },
        { lease: b!.lease, kind: 'retry', delayMs: longMs },
        { lease: c!.lease, kind: 'retry', delayMs: longMs },
        { lease: d!.lease, kind: 'dead-letter', reason: 'broken' },
        { lease: e!.lease, kind: 'release' },
      ])
      await counts(two, queue, { ready: 5, delayed: 2, leased: 1, dead: 1 })
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      await two.redrive(queue, [dead!.handle])
      await counts(one, queue, { ready: 6, delayed: 2, leased: 1 })
    },
  },
  {
    id: 'queue.limits',
    title: 'the limits are whole numbers that consumers can work with',
    requires: ['queue'],
    async run(subject) {
      const { maxBodyBytes, minLeaseMs } = subject.one.queue!.limits
      assert.ok(Number.isSafeInteger(maxBodyBytes) && maxBodyBytes > 0, `maxBodyBytes is ${maxBodyBytes}`)
      assert.ok(Number.isSafeInteger(minLeaseMs) && minLeaseMs > 0, `minLeaseMs is ${minLeaseMs}`)
      assert.ok(minLeaseMs <= 10_000, 'a consumer that dies is noticed within ten seconds, if one wants that')
    },
  },
]
