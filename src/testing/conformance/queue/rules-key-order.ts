// The rule `keyOrder`: what holds a key, and what lets its next message pass.
import assert from 'node:assert/strict'
import { unusualKeys } from '../sample.ts'
import { notBefore } from '../wait.ts'
import {
  counts,
  end,
  givenBack,
  ids,
  keyed,
  kill,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
  wakes,
} from './bench.ts'

const rules = { keyOrder: true }

export const keyOrderCases: readonly QueueCase[] = [
  {
    id: 'queue.key-order.one-at-a-time',
    title:
      'messages of a key are leased one at a time, in their order; other keys and messages without one are free',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [...keyed('a', 3), ...keyed('b', 2), ...messages(2)])
      const first = await take(one, queue, 4)
      assert.deepEqual(sorted(ids(first)), ['a0', 'b0', 'm0', 'm1'])
      await nothingClaimable(two, queue, 'the heads of both keys are leased')
      for (const next of ['a1', 'a2']) {
        const held = first.find(({ key }) => key === 'a')!
        await end(one, queue, [held])
        const following = await takeOne(two, queue)
        assert.deepEqual([following.id, following.starts], [next, 1])
        await nothingClaimable(one, queue, 'only one of the key at a time')
        first.splice(first.indexOf(held), 1, following)
      }
      await counts(two, queue, { ready: 1, leased: 4 })
    },
  },
  {
    id: 'queue.key-order.keys',
    title: 'keys are told apart to the last bit, whatever is in them',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const all = unusualKeys.flatMap((key, at) => [0, 1].map((n) => ({ id: `${at}-${n}`, key, body: '{}' })))
      await one.send(queue, all)
      const heads = await take(two, queue, unusualKeys.length)
      assert.deepEqual(sorted(ids(heads)), sorted(unusualKeys.map((_, at) => `${at}-0`)))
      await nothingClaimable(one, queue, 'one of each key')
      await end(two, queue, heads)
      assert.deepEqual(
        sorted(ids(await take(one, queue, unusualKeys.length))),
        sorted(unusualKeys.map((_, at) => `${at}-1`)),
      )
    },
  },
  {
    id: 'queue.key-order.retry',
    title: 'a message that waits for a retry keeps its turn',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 2))
      const head = await takeOne(one, queue)
      const start = performance.now()
      await end(one, queue, [head], { kind: 'retry', delayMs: 400 })
      const again = await takeOne(two, queue)
      assert.deepEqual([again.id, again.starts], ['a0', 2], 'nothing passed it')
      notBefore(performance.now() - start, 400, 'claimed again')
      await nothingClaimable(one, queue, 'the other one still waits')
      await end(two, queue, [again])
      assert.equal((await takeOne(one, queue)).id, 'a1')
    },
  },
  {
    id: 'queue.key-order.given-back',
    title: 'a message that is given back, or retried at once, keeps its turn',
    requires: ['queue.keyOrder'],
    async run(subject) {
      for (const ending of givenBack) {
        const { queue, one, two } = await queueBench(subject, rules)
        await one.send(queue, keyed('a', 3))
        await end(one, queue, [await takeOne(one, queue)], ending)
        const again = await takeOne(two, queue)
        assert.equal(again.id, 'a0', ending.kind)
        await nothingClaimable(one, queue, 'one at a time')
        await end(two, queue, [again])
        assert.equal((await takeOne(one, queue)).id, 'a1')
      }
    },
  },
  {
    id: 'queue.key-order.expiry',
    title: 'a message whose lease ended keeps its turn',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, [...keyed('a', 2), ...keyed('b', 2)])
      await take(one, queue, 2, shortMs)
      const again = await take(two, queue, 2)
      assert.deepEqual(sorted(ids(again)), ['a0', 'b0'])
      assert.deepEqual(
        again.map(({ starts }) => starts),
        [2, 2],
      )
      await nothingClaimable(one, queue, 'the ones behind them still wait')
      await end(two, queue, again)
      assert.deepEqual(sorted(ids(await take(one, queue, 2))), ['a1', 'b1'])
    },
  },
  {
    id: 'queue.key-order.stale',
    title: 'a stale settlement of a head does not let the next one pass',
    requires: ['queue.keyOrder', 'queue.fencing'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 2))
      const { lease } = await takeOne(one, queue, shortMs)
      const again = await takeOne(two, queue)
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'done' }]), ['stale'])
      await nothingClaimable(one, queue, 'the head is in other hands')
      await end(two, queue, [again])
      assert.equal((await takeOne(one, queue)).id, 'a1')
    },
  },
  {
    id: 'queue.key-order.delay',
    title: 'a message that is sent for later holds those of its key that were sent after it',
    requires: ['queue.keyOrder', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const start = performance.now()
      const [first, second] = keyed('a', 2)
      await one.send(queue, [{ ...first!, delayMs: 500 }])
      await two.send(queue, [second!, ...keyed('b', 1)])
      assert.equal((await takeOne(two, queue)).id, 'b0')
      const head = await takeOne(two, queue)
      assert.equal(head.id, 'a0')
      notBefore(performance.now() - start, 500, 'claimed')
      await end(two, queue, [head])
      assert.equal((await takeOne(one, queue)).id, 'a1')
    },
  },
  {
    id: 'queue.key-order.dead-letter',
    title: 'a dead letter lets the next one of its key pass; redriven it goes to the end',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 3))
      await kill(one, queue, 'broken')
      const second = await takeOne(two, queue)
      assert.equal(second.id, 'a1')
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      assert.equal(await one.redrive(queue, [dead!.handle]), 1)
      await nothingClaimable(one, queue, 'the redriven one does not go beside the one that is leased')
      await end(two, queue, [second])
      const third = await takeOne(one, queue)
      assert.equal(third.id, 'a2')
      await nothingClaimable(two, queue, 'one at a time')
      await end(one, queue, [third])
      const last = await takeOne(two, queue)
      assert.deepEqual([last.id, last.starts], ['a0', 1])
    },
  },
  {
    id: 'queue.key-order.wakes',
    title: 'a waiting claim resolves as soon as another process lets the next one of a key pass',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 3))
      let held = await takeOne(one, queue)
      for (const [ending, next] of [
        [{ kind: 'done' }, 'a1'],
        [{ kind: 'dead-letter', reason: 'broken' }, 'a2'],
      ] as const) {
        const found = await wakes(two, queue, () => end(one, queue, [held], ending))
        assert.deepEqual(ids(found), [next], ending.kind)
        held = found[0]!
      }
    },
  },
  {
    id: 'queue.key-order.behind-many',
    title: 'a long line of one key does not hide what is behind it',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 3_000))
      await one.send(queue, [...keyed('b', 2), ...messages(1)])
      assert.deepEqual(sorted(ids(await take(two, queue, 3))), ['a0', 'b0', 'm0'])
      await nothingClaimable(one, queue, 'nothing else is a head')
      await counts(one, queue, { ready: 3_000, leased: 3 })
    },
  },
  {
    id: 'queue.key-order.cancel',
    title:
      'a message that was cancelled holds its key no longer: at once when it waited, with its lease otherwise',
    requires: ['queue.keyOrder', 'queue.cancel'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, keyed('a', 6))
      assert.deepEqual(await two.cancel(queue, ['a0', 'a2']), ['removed', 'removed'])
      const second = await takeOne(one, queue)
      assert.equal(second.id, 'a1')
      assert.deepEqual(await two.cancel(queue, ['a1']), ['signalled'])
      await nothingClaimable(two, queue, 'the lease goes on')
      await end(one, queue, [second], { kind: 'retry', delayMs: longMs })
      const fourth = await takeOne(two, queue, shortMs)
      assert.equal(fourth.id, 'a3', 'the ones before it are gone')
      await one.cancel(queue, ['a3'])
      assert.equal((await takeOne(one, queue)).id, 'a4', 'the lease of the one before it ended')
      await nothingClaimable(two, queue, 'one at a time')
      await counts(one, queue, { ready: 1, leased: 1 })
    },
  },
]
