// Declaring queues, and queues that were not declared.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import {
  counts,
  ids,
  kill,
  longMs,
  messages,
  type QueueCase,
  queueBench,
  queuePorts,
  take,
  takeOne,
} from './bench.ts'

export const declareCases: readonly QueueCase[] = [
  {
    id: 'queue.declare.makes',
    title: 'declare makes several queues exist, empty, for every handle',
    requires: ['queue'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const queues = [fresh('queue'), fresh('queue'), fresh('queue')]
      await one.declare(queues)
      for (const queue of queues) {
        await counts(two, queue, {})
        await two.send(queue, messages(1))
        assert.deepEqual(ids(await take(one, queue, 1)), ['m0'])
      }
    },
  },
  {
    id: 'queue.declare.idempotent',
    title: 'declare is idempotent; messages in an existing queue stay in whatever state they are',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(3))
      await kill(one, queue, 'first')
      const [leased] = await take(one, queue, 1)
      await two.declare([queue, fresh('queue')])
      await one.declare([queue])
      await counts(two, queue, { ready: 1, leased: 1, dead: 1 })
      assert.deepEqual(await one.settle(queue, [{ lease: leased!.lease, kind: 'done' }]), ['settled'])
      assert.deepEqual(ids(await take(two, queue, 1)), ['m2'])
    },
  },
  {
    id: 'queue.declare.concurrent',
    title: 'the same queue may be declared by many processes at once',
    requires: ['queue'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const queue = fresh('queue')
      await Promise.all(numbers(12).map((index) => (index % 2 ? one : two).declare([queue, fresh('queue')])))
      await one.send(queue, messages(1))
      assert.deepEqual(ids(await take(two, queue, 1)), ['m0'])
    },
  },
  {
    id: 'queue.unknown',
    title: 'every method refuses a queue that was not declared: UNKNOWN_QUEUE',
    requires: ['queue'],
    async run(subject) {
      const { one } = queuePorts(subject)
      const queue = fresh('queue')
      const claim = { limit: 1, leaseMs: longMs, waitMs: 50 }
      await refused('UNKNOWN_QUEUE', () => one.send(queue, messages(1)), 'send')
      await refused('UNKNOWN_QUEUE', () => one.claim(queue, claim), 'claim')
      await refused('UNKNOWN_QUEUE', () => one.settle(queue, [{ lease: '1', kind: 'done' }]), 'settle')
      await refused('UNKNOWN_QUEUE', () => one.extend(queue, ['1'], longMs), 'extend')
      await refused('UNKNOWN_QUEUE', () => one.count(queue), 'count')
      await refused('UNKNOWN_QUEUE', () => one.deadLetters(queue, { limit: 1 }), 'deadLetters')
      await refused('UNKNOWN_QUEUE', () => one.redrive(queue, ['1']), 'redrive')
    },
  },
  {
    id: 'queue.unknown.then-declared',
    title: 'a queue that was unknown can be used as soon as another process has declared it',
    requires: ['queue'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const queue = fresh('queue')
      await refused('UNKNOWN_QUEUE', () => one.send(queue, messages(1)), 'send')
      await two.declare([queue])
      await one.send(queue, messages(1))
      assert.deepEqual(ids(await take(one, queue, 1)), ['m0'])
    },
  },
  {
    id: 'queue.numbers',
    title: 'numbers out of range are refused before anything is done: INVALID_OPTION',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(2))
      const { lease } = await takeOne(one, queue)
      const claim = { limit: 1, leaseMs: longMs, waitMs: 0 }
      const short = one.limits.minLeaseMs - 1
      const wrong: Readonly<Record<string, () => Promise<unknown>>> = {
        'claim, limit 0': () => two.claim(queue, { ...claim, limit: 0 }),
        'claim, limit 1.5': () => two.claim(queue, { ...claim, limit: 1.5 }),
        'claim, limit NaN': () => two.claim(queue, { ...claim, limit: Number.NaN }),
        'claim, a lease too short': () => two.claim(queue, { ...claim, leaseMs: short }),
        'claim, waitMs -1': () => two.claim(queue, { ...claim, waitMs: -1 }),
        'extend, a lease too short': () => one.extend(queue, [lease], short),
        'settle, delayMs -1': () => one.settle(queue, [{ lease, kind: 'retry', delayMs: -1 }]),
        'settle, delayMs NaN': () => one.settle(queue, [{ lease, kind: 'retry', delayMs: Number.NaN }]),
        'deadLetters, limit 0': () => one.deadLetters(queue, { limit: 0 }),
      }
      for (const [what, call] of Object.entries(wrong)) await refused('INVALID_OPTION', call, what)
      if (one.capabilities.delay) {
        const late = { id: 'late', body: '{}', delayMs: -1 }
        await refused(
          'INVALID_OPTION',
          () => one.send(queue, [...messages(1, 'n'), late]),
          'send, delayMs -1',
        )
      }
      await counts(two, queue, { ready: 1, leased: 1 })
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.apart',
    title: 'queues are apart: a message of one is not claimed, counted or listed in another',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const other = fresh('queue')
      await one.declare([other])
      await one.send(queue, messages(3))
      await kill(one, queue, 'only here')
      assert.deepEqual(await two.claim(other, { limit: 5, leaseMs: longMs, waitMs: 0 }), [])
      assert.deepEqual(await two.deadLetters(other, { limit: 5 }), [])
      await counts(two, other, {})
      await counts(two, queue, { ready: 2, dead: 1 })
    },
  },
  {
    id: 'queue.empty-arrays',
    title: 'methods that take arrays take empty ones, and do nothing',
    requires: ['queue'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.declare([])
      await one.send(queue, [])
      assert.deepEqual(await one.settle(queue, []), [])
      assert.deepEqual(await one.extend(queue, [], longMs), [])
      assert.equal(await one.redrive(queue, []), 0)
      await counts(one, queue, {})
    },
  },
]
