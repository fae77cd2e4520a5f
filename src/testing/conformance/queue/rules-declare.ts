// Declaring rules: who sees them and when, what a later declaration changes, and what it cannot.
import assert from 'node:assert/strict'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { refused } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import {
  counts,
  end,
  grouped,
  ids,
  keyed,
  kill,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  queuePorts,
  take,
  takeOne,
  wakes,
} from './bench.ts'

const urgent = { id: 'urgent', body: '{}', priority: 1 }

export const ruleDeclareCases: readonly QueueCase[] = [
  {
    id: 'queue.rules.seen',
    title: 'rules hold at once for every process, also for one that has used the queue before',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await two.send(queue, messages(2))
      await end(two, queue, [await takeOne(two, queue)])
      await one.declare([queue], { priority: true })
      await two.send(queue, [urgent])
      assert.deepEqual(ids(await take(two, queue, 2)), ['urgent', 'm1'])
      await one.declare([queue], {})
      await refused('INVALID_OPTION', () => two.send(queue, [urgent]), 'send by another process')
      await counts(one, queue, { leased: 2 })
    },
  },
  {
    id: 'queue.rules.kept',
    title:
      'a declaration without rules keeps those that there are, also of a process that opens the queue later',
    requires: ['queue.concurrency', 'shared storage'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { concurrency: 2 })
      await two.declare([queue, fresh('queue')])
      await one.send(queue, messages(5))
      const engine = await subject.access.openEngine()
      try {
        await engine.queue!.declare([queue])
        assert.equal((await take(engine.queue!, queue, 2)).length, 2)
        await nothingClaimable(engine.queue!, queue, 'the rule was kept')
      } finally {
        await engine.close()
      }
      await nothingClaimable(two, queue, 'the rule was kept')
    },
  },
  {
    id: 'queue.rules.replaced',
    title: 'a declaration with rules takes the place of all that there were; waiting claims resolve by that',
    requires: ['queue.concurrency', 'queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { concurrency: 1 })
      await one.send(queue, messages(9))
      await takeOne(one, queue)
      const woken = await wakes(two, queue, () => one.declare([queue], { concurrency: 3 }))
      assert.equal(woken.length + (woken.length < 2 ? await take(one, queue, 1) : []).length, 2)
      await nothingClaimable(one, queue, 'three are leased')
      await one.declare([queue], { concurrency: 1 })
      await end(two, queue, woken)
      await nothingClaimable(two, queue, 'those above the new rule have to end first')
      await two.declare([queue], { priority: true })
      await one.send(queue, [urgent])
      assert.deepEqual(ids(await take(one, queue, 7)), ['urgent', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8'])
    },
  },
  {
    id: 'queue.rules.waiting',
    title: 'rules hold also for messages that were waiting when they came',
    requires: ['queue.groups', 'queue.concurrency'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(10))
      await take(two, queue, 1)
      await one.declare([queue], { groups: { concurrency: 4 } })
      await one.send(queue, grouped('a', 3))
      assert.deepEqual(ids(await take(two, queue, 6)).sort(), ['a0', 'a1', 'a2', 'm1', 'm2', 'm3'])
      await nothingClaimable(one, queue, 'what was leased before counts too')
      await one.declare([queue], { concurrency: 8 })
      assert.deepEqual(ids(await take(one, queue, 1)), ['m4'])
      await nothingClaimable(two, queue, 'what was leased before counts too')
    },
  },
  {
    id: 'queue.rules.key-order-change',
    title:
      'keyOrder cannot change while there are messages that are no dead letters: CONFIGURATION, and nothing changed',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const added = fresh('queue')
      const change = (rules: QueueRules) =>
        refused('CONFIGURATION', () => two.declare([added, queue], rules), 'declare')
      await one.send(queue, keyed('a', 2))
      await change({ keyOrder: true })
      const [a0, a1] = await take(one, queue, 2)
      await change({ keyOrder: true })
      await end(one, queue, [a0!], { kind: 'dead-letter', reason: 'broken' })
      await end(one, queue, [a1!], { kind: 'retry', delayMs: longMs })
      await change({ keyOrder: true })
      await refused('UNKNOWN_QUEUE', () => one.count(added), 'the other queue of the call was not made')
      const other = await queueBench(subject)
      await other.one.send(other.queue, keyed('a', 1))
      await kill(other.one, other.queue, 'broken')
      await other.two.declare([other.queue], { keyOrder: true })
      await other.one.send(other.queue, keyed('a', 2))
      await takeOne(other.two, other.queue)
      await nothingClaimable(other.one, other.queue, 'the order of the key is kept')
      await refused('CONFIGURATION', () => other.one.declare([other.queue], {}), 'declare without keyOrder')
      await other.one.declare([other.queue], { keyOrder: true })
      await nothingClaimable(other.one, other.queue, 'nothing was changed')
    },
  },
  {
    id: 'queue.rules.numbers',
    title: 'rules with numbers out of range are refused, and no queue is made: INVALID_OPTION',
    requires: ['queue.concurrency', 'queue.groups', 'queue.rate'],
    async run(subject) {
      const { one } = queuePorts(subject)
      const queue = fresh('queue')
      const wrong: readonly QueueRules[] = [
        ...[0, -1, 1.5, Number.NaN, 1_000_001].flatMap((count): QueueRules[] => [
          { concurrency: count },
          { groups: { concurrency: count } },
          { rate: { count, perMs: 1_000 } },
        ]),
        ...[0, 0.5, 367 * 86_400_000].map((perMs): QueueRules => ({ rate: { count: 1, perMs } })),
      ]
      for (const rules of wrong)
        await refused('INVALID_OPTION', () => one.declare([queue], rules), JSON.stringify(rules))
      await refused('UNKNOWN_QUEUE', () => one.count(queue), 'count')
      const most = { concurrency: 1_000_000, groups: {}, rate: { count: 1_000_000, perMs: 366 * 86_400_000 } }
      await one.declare([queue], most)
    },
  },
  {
    id: 'queue.rules.concurrent',
    title: 'the same queue with the same rules may be declared by many processes at once',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const queue = fresh('queue')
      await Promise.all(
        numbers(10).map((index) =>
          (index % 2 ? one : two).declare([queue, fresh('queue')], { concurrency: 2 }),
        ),
      )
      await one.send(queue, messages(4))
      await take(two, queue, 2)
      await nothingClaimable(one, queue, 'the rule holds')
    },
  },
]
