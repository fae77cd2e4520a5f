// Emptying a queue: what waits, or what is dead, and nothing else.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import {
  counts,
  end,
  ids,
  keyed,
  kill,
  longMs,
  look,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

export const purgeCases: readonly QueueCase[] = [
  {
    id: 'queue.purge.waiting',
    title:
      'purge removes what waits, ready or for a retry, and says how many; leased messages and dead letters stay',
    requires: ['queue.purge'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const other = await queueBench(subject)
      await other.one.send(other.queue, messages(2))
      await one.send(queue, messages(8))
      await kill(one, queue, 'broken')
      const [a, b, c] = await take(one, queue, 3)
      await end(one, queue, [a!], { kind: 'retry', delayMs: 200 })
      assert.equal(await two.purge(queue, 'waiting'), 5)
      await counts(one, queue, { leased: 2, dead: 1 })
      assert.deepEqual(await two.claim(queue, { limit: 9, leaseMs: longMs, waitMs: 400 }), [])
      await end(one, queue, [b!])
      await end(one, queue, [c!], { kind: 'release' })
      assert.equal((await takeOne(two, queue)).id, c!.id, 'what was leased lives on')
      await counts(other.one, other.queue, { ready: 2 })
      assert.equal(await two.purge(queue, 'waiting'), 0)
    },
  },
  {
    id: 'queue.purge.delayed',
    title: 'what was sent for later is purged too',
    requires: ['queue.purge', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [{ id: 'later', body: '{}', delayMs: 200 }, ...messages(1)])
      assert.equal(await two.purge(queue, 'waiting'), 2)
      assert.deepEqual(await one.claim(queue, { limit: 9, leaseMs: longMs, waitMs: 400 }), [])
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.purge.dead',
    title: 'purge removes the dead letters and says how many; all others stay',
    requires: ['queue.purge'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(6))
      const [a, b, c] = await take(one, queue, 3)
      await end(one, queue, [a!, b!], { kind: 'dead-letter', reason: 'broken' })
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      assert.equal(await two.purge(queue, 'dead'), 2)
      await counts(one, queue, { ready: 3, leased: 1 })
      assert.deepEqual(await one.deadLetters(queue, { limit: 5 }), [])
      assert.equal(await one.redrive(queue, [dead!.handle]), 0)
      await end(one, queue, [c!], { kind: 'dead-letter', reason: 'later' })
      assert.deepEqual(ids(await two.deadLetters(queue, { limit: 5 })), ['m2'])
      assert.equal(await one.purge(queue, 'dead'), 1)
      assert.equal(await one.purge(queue, 'dead'), 0)
    },
  },
  {
    id: 'queue.purge.many',
    title: 'a large queue is purged whole; what is sent afterwards stays',
    requires: ['queue.purge'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      for (const call of numbers(3)) await one.send(queue, messages(4_000, `c${call}-`))
      await take(one, queue, 5)
      assert.equal(await two.purge(queue, 'waiting'), 11_995)
      await one.send(queue, messages(2))
      await counts(one, queue, { ready: 2, leased: 5 })
      assert.deepEqual(ids(await take(two, queue, 2)), ['m0', 'm1'])
    },
  },
  {
    id: 'queue.purge.race',
    title: 'what is claimed while a queue is purged is not purged: each message is one or the other',
    requires: ['queue.purge'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const count = 2_000
      await one.send(queue, messages(count))
      const [purged, ...claims] = await Promise.all([
        two.purge(queue, 'waiting'),
        ...numbers(12).map((claimer) => look(claimer % 2 ? one : two, queue, 20)),
      ])
      const held = claims.flat()
      assert.equal(new Set(ids(held)).size + purged, count)
      assert.equal(new Set(ids(held)).size, held.length)
      await end(one, queue, held)
      await nothingClaimable(two, queue, 'nothing is left')
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.purge.key-order',
    title: 'purging the line of a key leaves its head, and what is sent later goes on behind it',
    requires: ['queue.purge', 'queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { keyOrder: true })
      await one.send(queue, [...keyed('a', 5), ...keyed('b', 2)])
      const held = await takeOne(one, queue)
      assert.equal(held.id, 'a0')
      assert.equal(await two.purge(queue, 'waiting'), 6)
      await one.send(queue, [...keyed('a', 2), ...keyed('b', 1)])
      assert.deepEqual(ids(await take(two, queue, 1)), ['b0'])
      await nothingClaimable(two, queue, 'the head of the other key is leased')
      await end(one, queue, [held])
      assert.deepEqual(ids(await take(two, queue, 1)), ['a0'])
      await counts(one, queue, { ready: 1, leased: 2 })
    },
  },
]
