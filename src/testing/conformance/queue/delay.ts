// Sending for a later time: the capability `delay`, both ways.
import assert from 'node:assert/strict'
import { refusedForLack } from '../refusal.ts'
import { owners } from '../subject.ts'
import { notBefore, soonMs } from '../wait.ts'
import {
  counts,
  ids,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
} from './bench.ts'

export const delayCases: readonly QueueCase[] = [
  {
    id: 'queue.delay.waits',
    title: 'a delayed message is claimable only after its time from now, and then at once',
    requires: ['queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const start = performance.now()
      await one.send(queue, [{ id: 'later', body: '{}', delayMs: 900 }])
      await nothingClaimable(two, queue, 'it is not yet claimable')
      const found = await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 900 + soonMs })
      assert.deepEqual(ids(found), ['later'], 'a waiting claim wakes up for it')
      assert.equal(found[0]!.starts, 1)
      notBefore(performance.now() - start, 900, 'claimed')
      assert.ok(performance.now() - start < 900 + soonMs, 'soon after it was due')
    },
  },
  {
    id: 'queue.delay.passes-by',
    title: 'a delayed message does not hold up those that were sent with it or after it',
    requires: ['queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [
        { id: 'later', body: '{}', delayMs: 7 * 86_400_000 },
        { id: 'now', body: '{}' },
        { id: 'zero', body: '{}', delayMs: 0 },
        { id: 'undefined', body: '{}', delayMs: undefined },
      ])
      await two.send(queue, messages(1, 'after'))
      assert.deepEqual(ids(await take(two, queue, 4)), ['now', 'zero', 'undefined', 'after0'])
      await nothingClaimable(one, queue, 'only the one for next week is left')
      await counts(one, queue, { delayed: 1, leased: 4 })
    },
  },
  {
    id: 'queue.delay.by-time',
    title: 'delayed messages become claimable each in its own time',
    requires: ['queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const start = performance.now()
      await one.send(queue, [
        { id: 'third', body: '{}', delayMs: 700 },
        { id: 'first', body: '{}', delayMs: 200 },
        { id: 'second', body: '{}', delayMs: 450 },
      ])
      const found: string[] = []
      for (const expected of [200, 450, 700]) {
        const { id } = await takeOne(two, queue)
        notBefore(performance.now() - start, expected, `claim ${found.length + 1}`)
        found.push(id)
      }
      assert.deepEqual(sorted(found), ['first', 'second', 'third'])
    },
  },
  {
    id: 'queue.delay.missing',
    title:
      'an engine without delay refuses a delayed message and stores none of the call: CAPABILITY_MISSING',
    requires: ['queue', 'without queue.delay'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      const batch = [...messages(1), { id: 'later', body: '{}', delayMs: 1_000 }]
      await refusedForLack(subject.one.name, owners('queue', 'delay'), () => one.send(queue, batch), 'send')
      await counts(one, queue, {})
    },
  },
]
