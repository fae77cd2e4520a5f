// The rule `finished`: what was done is kept, for a time or by number.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { refused } from '../refusal.ts'
import { fresh, largeBody, unusualBodies } from '../sample.ts'
import { eventually } from '../wait.ts'
import { end, ids, keyed, kill, messages, type QueueCase, queueBench, take, takeOne } from './bench.ts'

const most = { finished: { count: 1_000 } }

async function finishedIds(port: QueuePort, queue: string): Promise<string[]> {
  return ids(await port.finished(queue, { limit: 1_000 }))
}

async function trimAll(port: QueuePort, queue: string): Promise<number> {
  let sum = 0
  for (;;) {
    const removed = await port.trimFinished(queue)
    if (removed === 0) return sum
    sum += removed
  }
}

/** Each in a settlement of its own, so that one comes after the other. */
async function finish(port: QueuePort, queue: string, count: number): Promise<void> {
  for (const message of await take(port, queue, count)) await end(port, queue, [message])
}

export const finishedCases: readonly QueueCase[] = [
  {
    id: 'queue.finished.kept',
    title:
      'what was done is kept as it was sent, the newest first; what was cancelled, died or is not done is not',
    requires: ['queue.finished', 'queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, most)
      await one.send(queue, [{ id: 'first', key: 'straße', body: '{"k":"ü"}' }, ...messages(4)])
      await end(one, queue, [await takeOne(one, queue)], { kind: 'retry', delayMs: 0 })
      const all = await take(one, queue, 5)
      const first = all.find(({ id }) => id === 'first')!
      const [m0, m1, m2] = all.filter(({ id }) => id !== 'first')
      const before = Date.now() - 60_000
      await end(one, queue, [m0!])
      await end(one, queue, [first])
      await two.cancel(queue, [m1!.id])
      await end(one, queue, [m1!])
      await end(one, queue, [m2!], { kind: 'dead-letter', reason: 'broken' })
      const found = await two.finished(queue, { limit: 10 })
      assert.deepEqual(ids(found), ['first', m0!.id])
      const { handle: _, finishedAt, ...told } = found[0]!
      assert.deepEqual(told, { id: 'first', key: 'straße', body: '{"k":"ü"}', starts: 2 })
      assert.ok(finishedAt > before && finishedAt < Date.now() + 60_000)
      assert.deepEqual(await two.settle(queue, [{ lease: first.lease, kind: 'done' }]), ['stale'])
      assert.equal((await two.finished(queue, { limit: 10 })).length, 2, 'once')
    },
  },
  {
    id: 'queue.finished.bodies',
    title: 'bodies come back byte for byte',
    requires: ['queue.finished'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, most)
      const bodies = [...unusualBodies, largeBody()]
      await one.send(
        queue,
        bodies.map((body, index) => ({ id: `m${index}`, body })),
      )
      await end(two, queue, await take(two, queue, bodies.length))
      const found = await one.finished(queue, { limit: 100 })
      assert.deepEqual(
        new Map(found.map(({ id, body }) => [id, body])),
        new Map(bodies.map((body, index) => [`m${index}`, body])),
      )
    },
  },
  {
    id: 'queue.finished.pages',
    title: 'pages go from the newest to the oldest, whatever finishes or is removed meanwhile',
    requires: ['queue.finished'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, most)
      await one.send(queue, messages(7))
      await finish(one, queue, 7)
      const first = await two.finished(queue, { limit: 3 })
      assert.deepEqual(ids(first), ['m6', 'm5', 'm4'])
      await one.send(queue, messages(1, 'new'))
      await finish(one, queue, 1)
      const second = await one.finished(queue, { limit: 3, after: first.at(-1)!.handle })
      assert.deepEqual(ids(second), ['m3', 'm2', 'm1'])
      await one.declare([queue], { finished: { count: 2 } })
      await trimAll(two, queue)
      assert.deepEqual(await one.finished(queue, { limit: 3, after: second.at(-1)!.handle }), [])
      await refused('INVALID_OPTION', () => one.finished(queue, { limit: 0 }), 'a limit of 0')
      await refused('INVALID_OPTION', () => one.finished(queue, { limit: 1_001 }), 'a limit of 1,001')
      await refused('INVALID_OPTION', () => one.finished(queue, { limit: 1, after: 'x' }), 'no handle')
    },
  },
  {
    id: 'queue.finished.count',
    title: 'by number the newest stay when it is trimmed, and none of another queue goes',
    requires: ['queue.finished'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { finished: { count: 3 } })
      const other = await queueBench(subject, { finished: { count: 1 } })
      for (const name of [queue, other.queue]) {
        await one.send(name, messages(3))
        await finish(one, name, 3)
      }
      assert.equal(await trimAll(one, queue), 0)
      await one.send(queue, messages(4, 'n'))
      await finish(two, queue, 4)
      assert.equal(await trimAll(two, queue), 4)
      assert.deepEqual(await finishedIds(one, queue), ['n3', 'n2', 'n1'])
      await trimAll(one, other.queue)
      assert.deepEqual(await finishedIds(two, other.queue), ['m2'])
    },
  },
  {
    id: 'queue.finished.for',
    title:
      'by time what is older is not shown any more, and is removed when it is trimmed; what is younger stays',
    requires: ['queue.finished'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { finished: { forMs: 300 } })
      await one.send(queue, messages(2))
      await finish(one, queue, 2)
      await eventually('they are too old', async () => assert.deepEqual(await finishedIds(two, queue), []))
      await one.declare([queue], { finished: { forMs: 600_000 } })
      await one.send(queue, messages(2, 'n'))
      await finish(one, queue, 2)
      assert.deepEqual(await finishedIds(two, queue), ['n1', 'n0', 'm1', 'm0'], 'not removed yet')
      await one.declare([queue], { finished: { forMs: 300 } })
      await eventually('they are too old', async () => assert.deepEqual(await finishedIds(two, queue), []))
      await one.declare([queue], { finished: { forMs: 600_000, count: 100 } })
      assert.equal(await trimAll(two, queue), 0, 'they are young enough again')
      await one.declare([queue], { finished: { forMs: 300 } })
      await eventually('they are removed', async () => {
        await trimAll(one, queue)
        await two.declare([queue], { finished: { count: 100 } })
        const left = await finishedIds(one, queue)
        await two.declare([queue], { finished: { forMs: 300 } })
        assert.deepEqual(left, [])
      })
    },
  },
  {
    id: 'queue.finished.rule',
    title: 'a queue without the rule keeps nothing, and trimming removes what it kept under an earlier one',
    requires: ['queue.finished', 'queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { priority: true })
      await one.send(queue, messages(2))
      await finish(one, queue, 1)
      await one.declare([queue], most)
      await finish(two, queue, 1)
      assert.deepEqual(await finishedIds(two, queue), ['m1'])
      await one.declare([queue], {})
      await one.send(queue, messages(1, 'n'))
      await finish(two, queue, 1)
      assert.equal(await trimAll(two, queue), 1)
      assert.deepEqual(await finishedIds(one, queue), [])
    },
  },
  {
    id: 'queue.finished.numbers',
    title:
      'a rule that names no bound, or one out of range, is refused, and no queue is made: INVALID_OPTION',
    requires: ['queue.finished'],
    async run(subject) {
      const { one } = await queueBench(subject)
      const queue = fresh('queue')
      const wrong: readonly NonNullable<QueueRules['finished']>[] = [
        {},
        ...[0, -1, 1.5, 100_001].map((count) => ({ count })),
        ...[0, 0.5, 367 * 86_400_000].map((forMs) => ({ forMs })),
      ]
      for (const finished of wrong)
        await refused('INVALID_OPTION', () => one.declare([queue], { finished }), JSON.stringify(finished))
      await refused('UNKNOWN_QUEUE', () => one.count(queue), 'count')
    },
  },
  {
    id: 'queue.finished.key-order',
    title: 'what is kept does not stand in the way of the next one of its key',
    requires: ['queue.finished', 'queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { ...most, keyOrder: true })
      await one.send(queue, keyed('a', 3))
      for (const id of ['a0', 'a1']) {
        const message = await takeOne(two, queue)
        assert.equal(message.id, id)
        await end(two, queue, [message])
      }
      await kill(one, queue, 'broken')
      assert.deepEqual(await finishedIds(one, queue), ['a1', 'a0'])
      await one.declare([queue], {})
    },
  },
]
