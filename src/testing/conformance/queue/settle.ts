// Settling: what each of the four kinds does, and that a stale lease does nothing.
import assert from 'node:assert/strict'
import type { QueueCount, Settlement } from '../../../ports/queue.ts'
import { notBefore, pass } from '../wait.ts'
import {
  counts,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

/** Every way to end a lease, and where the message stands afterwards. */
const endings: readonly {
  readonly end: (lease: string) => Settlement
  readonly after: Partial<QueueCount>
}[] = [
  { end: (lease) => ({ lease, kind: 'done' }), after: {} },
  { end: (lease) => ({ lease, kind: 'retry', delayMs: longMs }), after: { delayed: 1 } },
  { end: (lease) => ({ lease, kind: 'release' }), after: { ready: 1 } },
  { end: (lease) => ({ lease, kind: 'dead-letter', reason: 'broken' }), after: { dead: 1 } },
]

export const settleCases: readonly QueueCase[] = [
  {
    id: 'queue.settle.unknown',
    title: 'a lease that this queue does not know is stale: one that never was, and one of another queue',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const other = await queueBench(subject)
      await other.one.send(other.queue, messages(2))
      const [a, b] = await take(other.one, other.queue, 2)
      await one.send(queue, messages(2))
      await take(one, queue, 2)
      for (const lease of [a!.lease, '', 'nobody', '0', '-1', '1e3', `${b!.lease}0`, "'; --"]) {
        for (const { end } of endings)
          assert.deepEqual(await two.settle(queue, [end(lease)]), ['stale'], lease)
        assert.deepEqual(await two.extend(queue, [lease], longMs), ['stale'], lease)
      }
      await counts(one, queue, { leased: 2 })
      assert.deepEqual(await other.two.settle(other.queue, [{ lease: a!.lease, kind: 'done' }]), ['settled'])
      assert.deepEqual(await other.one.settle(other.queue, [{ lease: b!.lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.settle.done',
    title: 'done: the message is gone, also after its lease would have ended',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, shortMs)
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'done' }]), ['settled'])
      const found = await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 2 * shortMs })
      assert.deepEqual(found, [])
      await counts(two, queue, {})
    },
  },
  {
    id: 'queue.settle.retry',
    title: 'retry: claimable again after delayMs and not before, with another start',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue)
      const start = performance.now()
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'retry', delayMs: 900 }]), ['settled'])
      await nothingClaimable(two, queue, 'it waits')
      const again = await takeOne(two, queue)
      notBefore(performance.now() - start, 900, 'claimed again')
      assert.equal(again.starts, 2)
      assert.deepEqual(await two.settle(queue, [{ lease: again.lease, kind: 'retry', delayMs: 0 }]), [
        'settled',
      ])
      assert.equal((await takeOne(one, queue)).starts, 3, 'a delay of 0 is at once')
    },
  },
  {
    id: 'queue.settle.release',
    title: 'release: claimable at once, and the start is not counted',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const first = await takeOne(one, queue)
      assert.deepEqual(await one.settle(queue, [{ lease: first.lease, kind: 'release' }]), ['settled'])
      const second = await two.claim(queue, { limit: 1, leaseMs: shortMs, waitMs: 0 })
      assert.equal(second[0]?.starts, 1, 'it can be claimed at once, as if for the first time')
      const third = await takeOne(one, queue)
      assert.equal(third.starts, 2, 'a lost claim counts')
      await one.settle(queue, [{ lease: third.lease, kind: 'release' }])
      assert.equal((await takeOne(two, queue)).starts, 2, 'a release takes back only its own start')
    },
  },
  {
    id: 'queue.settle.dead-letter',
    title: 'dead-letter: not claimable any more, counted as dead',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, shortMs)
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'dead-letter', reason: 'broken' }]), [
        'settled',
      ])
      const found = await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 2 * shortMs })
      assert.deepEqual(found, [])
      await counts(two, queue, { dead: 1 })
    },
  },
  {
    id: 'queue.settle.batch',
    title: 'one call settles many leases, each in its own way; a lease that is not named stays',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(6))
      const [a, b, c, d, e] = await take(one, queue, 5)
      const results = await one.settle(queue, [
        { lease: d!.lease, kind: 'dead-letter', reason: 'd' },
        { lease: a!.lease, kind: 'done' },
        { lease: c!.lease, kind: 'release' },
        { lease: b!.lease, kind: 'retry', delayMs: longMs },
      ])
      assert.deepEqual(results, ['settled', 'settled', 'settled', 'settled'])
      await counts(two, queue, { ready: 2, delayed: 1, leased: 1, dead: 1 })
      const ready = (await take(two, queue, 2)).map(({ id }) => id).sort()
      assert.deepEqual(ready, ['m2', 'm5'])
      assert.deepEqual(await one.settle(queue, [{ lease: e!.lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.settle.order',
    title: 'the results of settle stand in the order of the settlements; a lease named twice is settled once',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(4))
      const [a, b, c, d] = await take(one, queue, 4)
      await one.settle(queue, [{ lease: b!.lease, kind: 'done' }])
      const results = await one.settle(queue, [
        { lease: d!.lease, kind: 'done' },
        { lease: b!.lease, kind: 'done' },
        { lease: a!.lease, kind: 'dead-letter', reason: 'once' },
        { lease: a!.lease, kind: 'done' },
        { lease: c!.lease, kind: 'done' },
      ])
      assert.deepEqual(results, ['settled', 'stale', 'settled', 'stale', 'settled'])
      await counts(one, queue, { dead: 1 })
    },
  },
  {
    id: 'queue.settle.stale.expired',
    title:
      'a lease that expired and was claimed again is stale: nothing happens to its message, whatever was asked',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(endings.length))
      const old = await take(one, queue, endings.length, shortMs)
      const renewed = await take(two, queue, endings.length)
      const results = await one.settle(
        queue,
        old.map(({ lease }, index) => endings[index]!.end(lease)),
      )
      assert.deepEqual(results, ['stale', 'stale', 'stale', 'stale'])
      await nothingClaimable(one, queue, 'the other still holds them all')
      await counts(one, queue, { leased: endings.length })
      const settled = await two.settle(
        queue,
        renewed.map(({ lease }) => ({ lease, kind: 'done' })),
      )
      assert.deepEqual(settled, ['settled', 'settled', 'settled', 'settled'])
    },
  },
  {
    id: 'queue.settle.stale.twice',
    title:
      'a lease that was settled already is stale, whatever it was settled as: the message stays where it is',
    requires: ['queue.fencing'],
    async run(subject) {
      for (const first of endings) {
        const { queue, one, two } = await queueBench(subject)
        await one.send(queue, messages(1))
        const { lease } = await takeOne(one, queue)
        assert.deepEqual(await one.settle(queue, [first.end(lease)]), ['settled'])
        for (const second of endings)
          assert.deepEqual(await two.settle(queue, [second.end(lease)]), ['stale'])
        await counts(one, queue, first.after)
      }
    },
  },
  {
    id: 'queue.settle.stale.released',
    title: 'a lease that was given back is stale while the next consumer holds the message',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      const old = await takeOne(one, queue)
      await one.settle(queue, [{ lease: old.lease, kind: 'release' }])
      const renewed = await takeOne(two, queue)
      for (const { end } of endings) assert.deepEqual(await one.settle(queue, [end(old.lease)]), ['stale'])
      assert.deepEqual(await one.extend(queue, [old.lease], longMs), ['stale'])
      assert.deepEqual(await two.settle(queue, [{ lease: renewed.lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.settle.stale.concurrent',
    title: 'of settlements of one lease that are made at once, one takes place',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(10))
      for (const { lease } of await take(one, queue, 10)) {
        const results = await Promise.all([
          one.settle(queue, [{ lease, kind: 'done' }]),
          one.settle(queue, [{ lease, kind: 'dead-letter', reason: 'at once' }]),
          one.settle(queue, [{ lease, kind: 'done' }]),
        ])
        assert.deepEqual(results.flat().sort(), ['settled', 'stale', 'stale'])
      }
      await nothingClaimable(one, queue, 'all are settled')
    },
  },
  {
    id: 'queue.settle.expired-unclaimed',
    title:
      'a lease that expired but that nobody claimed since may be settled: then it is, or it is stale; nothing between',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, shortMs)
      await pass(shortMs + 50)
      const [result] = await one.settle(queue, [{ lease, kind: 'done' }])
      if (result === 'settled') await nothingClaimable(two, queue, 'it is gone')
      else assert.equal((await takeOne(two, queue)).starts, 2, 'it is there for the next')
    },
  },
]
