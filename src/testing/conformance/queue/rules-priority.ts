// The rule `priority`: the highest first, whatever else is waiting, and for as long as a message lives.
import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { pass } from '../wait.ts'
import {
  end,
  givenBack,
  ids,
  keyed,
  kill,
  messages,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

const rules = { priority: true }

function prior(id: string, priority: number | undefined): OutgoingMessage {
  return { id, body: '{}', priority }
}

export const priorityCases: readonly QueueCase[] = [
  {
    id: 'queue.priority.highest-first',
    title: 'the highest priority is claimed first, none is 0, and those of equal priority come by age',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [
        prior('low', -100),
        prior('none', undefined),
        prior('high', 7),
        prior('zero', 0),
        prior('below', -1),
        prior('top', 100),
      ])
      await two.send(queue, [prior('high again', 7), prior('ten', 10)])
      const expected = ['top', 'ten', 'high', 'high again', 'none', 'zero', 'below', 'low']
      assert.deepEqual(ids(await take(one, queue, 3)), expected.slice(0, 3), 'within a claim')
      const found: string[] = []
      for (const at of numbers(5)) found.push((await takeOne(at % 2 ? one : two, queue)).id)
      assert.deepEqual(found, expected.slice(3), 'from claim to claim, of any process')
    },
  },
  {
    id: 'queue.priority.behind-many',
    title: 'a high priority comes first also when it was sent after thousands of low ones, in any process',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(3_000))
      await take(two, queue, 10)
      for (const priority of [5, 1]) {
        await one.send(queue, [prior(`high ${priority}`, priority)])
        assert.equal((await takeOne(two, queue)).id, `high ${priority}`)
      }
      assert.deepEqual(ids(await take(one, queue, 2)), ['m10', 'm11'])
    },
  },
  {
    id: 'queue.priority.given-back',
    title:
      'what was retried or given back keeps its priority: it comes neither before higher ones nor after lower ones',
    requires: ['queue.priority'],
    async run(subject) {
      for (const ending of givenBack) {
        const { queue, one, two } = await queueBench(subject, rules)
        await one.send(queue, [prior('low', 0), prior('middle', 1)])
        const first = await takeOne(one, queue)
        assert.equal(first.id, 'middle')
        await two.send(queue, [prior('high', 2)])
        await end(one, queue, [first], ending)
        assert.deepEqual(ids(await take(two, queue, 3)), ['high', 'middle', 'low'], ending.kind)
      }
    },
  },
  {
    id: 'queue.priority.lost',
    title: 'a message whose lease ended comes before lower ones that wait',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, [...messages(20), prior('high', 1)])
      assert.equal((await takeOne(one, queue, shortMs)).id, 'high')
      await pass(shortMs)
      const found: string[] = []
      while (!found.includes('high') && found.length < 20) {
        found.push((await takeOne(two, queue)).id)
        await pass(20)
      }
      assert.equal(found.at(-1), 'high', 'it came while low ones were waiting')
    },
  },
  {
    id: 'queue.priority.redriven',
    title: 'a redriven message keeps its priority',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [prior('high', 3)])
      await kill(one, queue, 'broken')
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      await one.send(queue, [prior('low', 0), prior('middle', 2), prior('equal', 3)])
      await two.redrive(queue, [dead!.handle])
      assert.deepEqual(ids(await take(two, queue, 4)), ['equal', 'high', 'middle', 'low'])
    },
  },
  {
    id: 'queue.priority.delayed',
    title:
      'a message that was sent for later comes by its priority when it is due, and holds nothing up before',
    requires: ['queue.priority', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [{ ...prior('later', 9), delayMs: 300 }, prior('now', 0), prior('then', 0)])
      assert.equal((await takeOne(two, queue)).id, 'now')
      const start = performance.now()
      for (;;) {
        const next = await takeOne(one, queue)
        if (next.id === 'later') break
        assert.ok(performance.now() - start < 2_000, 'it is not passed when it is due')
        await end(one, queue, [next], { kind: 'release' })
        await pass(20)
      }
      assert.equal((await takeOne(two, queue)).id, 'then')
    },
  },
  {
    id: 'queue.priority.key-order',
    title: 'with keyOrder the order of a key comes first: a high one waits for a low one ahead of it',
    requires: ['queue.priority', 'queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { priority: true, keyOrder: true })
      const [a0, a1, a2] = keyed('a', 3)
      const [b0] = keyed('b', 1)
      await one.send(queue, [
        { ...a0!, priority: -5 },
        { ...a1!, priority: 100 },
        { ...a2!, priority: 50 },
        { ...b0!, priority: 0 },
        ...messages(1),
      ])
      const found = await take(two, queue, 3)
      assert.deepEqual(ids(found), ['b0', 'm0', 'a0'])
      await one.send(queue, [prior('less', 99)])
      await end(two, queue, [found[2]!])
      const next = await take(one, queue, 2)
      assert.deepEqual(ids(next), ['a1', 'less'])
      await end(one, queue, [next[0]!])
      assert.equal((await takeOne(two, queue)).id, 'a2')
    },
  },
]
