// The rule `rate`: one bucket of starts for all processes. A start is seen no earlier than it was made, so what is checked is
// how many there were at most by then; that they come at all has the wide bound of everything that should be soon.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { notBefore, pass, soonMs, within } from '../wait.ts'
import {
  counts,
  end,
  endings,
  ids,
  longMs,
  look,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

/** Fails when there was a start before the bucket could have had it. `start`: before the first of them. */
function paced(times: readonly number[], start: number, count: number, everyMs: number): void {
  for (const [at, time] of times.toSorted((a, b) => a - b).entries())
    notBefore(time - start, (at + 1 - count) * everyMs, `start ${at + 1}`)
}

export const rateCases: readonly QueueCase[] = [
  {
    id: 'queue.rate.bucket',
    title:
      'a claim takes one start for each message, in whatever process, and none is left when the bucket is empty',
    requires: ['queue.rate'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { rate: { count: 5, perMs: 600_000 } })
      const other = await queueBench(subject, { rate: { count: 5, perMs: 600_000 } })
      await one.send(queue, messages(10))
      assert.equal((await take(one, queue, 2)).length, 2)
      assert.equal((await take(two, queue, 3)).length, 3)
      await nothingClaimable(one, queue, 'five were started')
      await nothingClaimable(two, queue, 'five were started')
      await counts(one, queue, { ready: 5, leased: 5 })
      await other.one.send(other.queue, messages(5))
      await take(other.two, other.queue, 5)
    },
  },
  {
    id: 'queue.rate.one-claim',
    title: 'a claim of many gives what the bucket has',
    requires: ['queue.rate'],
    async run(subject) {
      const { queue, one } = await queueBench(subject, { rate: { count: 4, perMs: 600_000 } })
      await one.send(queue, messages(10))
      assert.deepEqual(ids(await take(one, queue, 4)), ids(messages(4)))
      assert.deepEqual(await look(one, queue, 100), [])
    },
  },
  {
    id: 'queue.rate.not-given-back',
    title: 'no settlement gives a start back, and what is claimed again takes another',
    requires: ['queue.rate'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { rate: { count: 6, perMs: 600_000 } })
      await one.send(queue, messages(10))
      for (const ending of endings) await end(one, queue, [await takeOne(two, queue)], ending)
      await end(two, queue, await take(one, queue, 2))
      await nothingClaimable(one, queue, 'six were started')
    },
  },
  {
    id: 'queue.rate.refilled',
    title:
      'the bucket is filled again evenly: a waiting claim resolves when a start is there, not before and soon after',
    requires: ['queue.rate'],
    async run(subject) {
      // What is filled all at once, after perMs, comes too late for a claim that waits for one start.
      const { queue, one, two } = await queueBench(subject, { rate: { count: 40, perMs: 8_000 } })
      await one.send(queue, messages(60))
      const start = performance.now()
      const times: number[] = []
      while (times.length < 45) {
        const port = times.length % 2 ? one : two
        const waiting = port.claim(queue, { limit: 40, leaseMs: longMs, waitMs: 4 * soonMs })
        const found = await within(soonMs, 'the claim that waits for a start', waiting)
        assert.notEqual(found.length, 0, 'it does not end before')
        times.push(...found.map(() => performance.now()))
      }
      paced(times, start, 40, 200)
    },
  },
  {
    id: 'queue.rate.full',
    title: 'a bucket that nobody takes from becomes full and no fuller',
    requires: ['queue.rate'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { rate: { count: 2, perMs: 400 } })
      await one.send(queue, messages(20))
      await take(one, queue, 2)
      await pass(1_600)
      const start = performance.now()
      const times: number[] = []
      while (times.length < 4) {
        const found = await look(two, queue, 20)
        times.push(...found.map(() => performance.now()))
        await pass(10)
        assert.ok(performance.now() - start < 2 * soonMs, 'it is filled again')
      }
      paced(times, start, 2, 200)
    },
  },
  {
    id: 'queue.rate.processes',
    title: 'processes that claim at once share one bucket: never more starts than it had and was given since',
    requires: ['queue.rate'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { rate: { count: 10, perMs: 1_000 } })
      await one.send(queue, messages(25))
      const start = performance.now()
      const times: number[] = []
      const work = async (port: QueuePort) => {
        while (times.length < 25 && performance.now() - start < 4 * soonMs) {
          const found = await port.claim(queue, { limit: 3, leaseMs: longMs, waitMs: 200 })
          times.push(...found.map(() => performance.now()))
          await end(port, queue, found)
        }
      }
      await Promise.all(numbers(6).map((claimer) => work(claimer % 2 ? one : two)))
      assert.equal(times.length, 25, 'all were started')
      paced(times, start, 10, 100)
    },
  },
  {
    id: 'queue.rate.declared-again',
    title: 'declaring the queue again, with the same rate or without rules, does not fill the bucket',
    requires: ['queue.rate'],
    async run(subject) {
      const rules = { rate: { count: 3, perMs: 600_000 } }
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(10))
      await take(one, queue, 3)
      await two.declare([queue], { rate: { ...rules.rate } })
      await nothingClaimable(two, queue, 'the bucket is as it was')
      await one.declare([queue])
      await nothingClaimable(one, queue, 'the bucket is as it was')
      await two.declare([queue], {})
      assert.equal((await take(one, queue, 7)).length, 7, 'without the rule they are free')
    },
  },
]
