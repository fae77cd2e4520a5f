// What a message tells of its earlier starts: whether its last holder vanished, and why it was tried again.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { pass } from '../wait.ts'
import { end, ids, kill, messages, type QueueCase, queueBench, take, takeOne } from './bench.ts'

const suspects = (list: readonly { readonly id: string; readonly suspect: boolean }[]) =>
  ids(list.filter(({ suspect }) => suspect)).sort()

export const suspectCases: readonly QueueCase[] = [
  {
    id: 'queue.suspect.lost',
    title:
      'a message is suspect when its last lease ended without a settlement: all that the holder had, and no other',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(3))
      const first = await take(one, queue, 3, shortMs)
      assert.deepEqual(suspects(first), [], 'not at the first start')
      // So that one claim may bring both.
      await pass(shortMs)
      await one.send(queue, messages(2, 'new'))
      const second = await take(two, queue, 5)
      assert.deepEqual(suspects(second), ['m0', 'm1', 'm2'])
      assert.deepEqual(second.map(({ starts }) => starts).sort(), [1, 1, 2, 2, 2])
    },
  },
  {
    id: 'queue.suspect.first-start',
    title: 'the first start is not suspect: also after a release, and after redriving what was suspect',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      await end(one, queue, [await takeOne(one, queue)], { kind: 'release' })
      const again = await takeOne(two, queue, shortMs)
      assert.deepEqual([again.starts, again.suspect], [1, false])
      const lost = await takeOne(one, queue)
      assert.deepEqual([lost.starts, lost.suspect], [2, true])
      await end(one, queue, [lost], { kind: 'dead-letter', reason: 'broken' })
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      await two.redrive(queue, [dead!.handle])
      const redriven = await takeOne(two, queue)
      assert.deepEqual([redriven.starts, redriven.suspect], [1, false])
    },
  },
  {
    id: 'queue.suspect.released',
    title: 'a suspect that is given back unhandled is still suspect',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      await takeOne(one, queue, shortMs)
      for (const _ of numbers(2)) {
        const suspect = await takeOne(two, queue)
        assert.deepEqual([suspect.starts, suspect.suspect], [2, true])
        await end(two, queue, [suspect], { kind: 'release' })
      }
    },
  },
]

export const historyCases: readonly QueueCase[] = [
  {
    id: 'queue.history.tells',
    title: 'a dead letter tells the reason, the start and the time of each retry that had one, oldest first',
    requires: ['queue.history'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const reason = `"quoted",\n'and' 🛑 ${'x'.repeat(500)}`
      await end(one, queue, [await takeOne(one, queue)], { kind: 'retry', delayMs: 0, reason })
      await end(two, queue, [await takeOne(two, queue)], { kind: 'retry', delayMs: 0 })
      await takeOne(one, queue, shortMs)
      await end(two, queue, [await takeOne(two, queue)], { kind: 'release' })
      await end(two, queue, [await takeOne(two, queue)], { kind: 'retry', delayMs: 20, reason: 'second' })
      await kill(one, queue, 'last')
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.deepEqual([dead!.reason, dead!.starts], ['last', 5])
      assert.deepEqual(
        dead!.history.map(({ start, reason: told }) => [start, told]),
        [
          [1, reason],
          [4, 'second'],
        ],
      )
      const [first, second] = dead!.history
      assert.ok(Math.abs(first!.at - Date.now()) < 60_000, `at is ${first!.at}, milliseconds since the epoch`)
      assert.ok(first!.at <= second!.at && second!.at <= dead!.diedAt)
    },
  },
  {
    id: 'queue.history.last-ten',
    title: 'the last ten reasons are kept',
    requires: ['queue.history'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      for (const at of numbers(13))
        await end(one, queue, [await takeOne(one, queue)], {
          kind: 'retry',
          delayMs: 0,
          reason: `reason ${at}`,
        })
      await kill(two, queue, 'last')
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.deepEqual(
        dead!.history.map(({ start, reason }) => [start, reason]),
        numbers(10).map((at) => [at + 4, `reason ${at + 3}`]),
      )
    },
  },
  {
    id: 'queue.history.redriven',
    title: 'the history starts again by redriving, and is of one message',
    requires: ['queue.history'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(2))
      const both = await take(one, queue, 2)
      await end(one, queue, both.slice(0, 1), { kind: 'retry', delayMs: 0, reason: 'of the first' })
      await end(one, queue, both.slice(1), { kind: 'dead-letter', reason: 'second' })
      await kill(one, queue, 'first')
      const [second, first] = await two.deadLetters(queue, { limit: 5 })
      assert.deepEqual([second!.history.length, first!.history.length], [0, 1])
      await two.redrive(queue, [first!.handle])
      await kill(one, queue, 'again')
      const dead = await two.deadLetters(queue, { limit: 5 })
      assert.deepEqual(dead.at(-1)!.history, [])
    },
  },
  {
    id: 'queue.history.missing',
    title: 'an engine without history tells none, and takes reasons all the same',
    requires: ['queue', 'without queue.history'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      await end(one, queue, [await takeOne(one, queue)], { kind: 'retry', delayMs: 0, reason: 'why' })
      await kill(one, queue, 'last')
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.deepEqual(dead!.history, [])
    },
  },
]
