// Leases: one at a time, for their time, with a token that rises; and extending them.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { notBefore, pass, soonMs, within } from '../wait.ts'
import {
  ids,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

export const leaseCases: readonly QueueCase[] = [
  {
    id: 'queue.lease.one',
    title: 'a message has at most one live lease: nobody else can claim it',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(3))
      await take(one, queue, 3)
      await nothingClaimable(two, queue, 'another process finds nothing')
      await nothingClaimable(one, queue, 'the same process finds nothing')
    },
  },
  {
    id: 'queue.lease.ends',
    title: 'a message whose lease ended can be claimed again, not before; the start of the lost claim counts',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const start = performance.now()
      const first = await takeOne(one, queue, shortMs)
      const second = await takeOne(two, queue, shortMs)
      notBefore(performance.now() - start, shortMs, 'claimed again')
      const third = await takeOne(one, queue, longMs)
      notBefore(performance.now() - start, 2 * shortMs, 'claimed a third time')
      assert.deepEqual([first.starts, second.starts, third.starts], [1, 2, 3])
      assert.equal(new Set([first.lease, second.lease, third.lease]).size, 3, 'each claim has its own lease')
      assert.equal(third.body, '{"n":0}')
    },
  },
  {
    id: 'queue.lease.apart',
    title: 'the lease of one message ends while those of others go on',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(2))
      const short = await takeOne(one, queue, shortMs)
      const long = await takeOne(one, queue, longMs)
      const again = await takeOne(two, queue)
      assert.equal(again.id, short.id)
      await pass(shortMs + 50)
      await nothingClaimable(two, queue, 'the other lease is live')
      assert.deepEqual(await one.settle(queue, [{ lease: long.lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.lease.token-rises',
    title: 'the fencing token rises with every claim: after an expiry, a retry, a release, and a redrive',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const tokens = [(await takeOne(one, queue, shortMs)).fencingToken]
      const expired = await takeOne(two, queue)
      tokens.push(expired.fencingToken)
      await two.settle(queue, [{ lease: expired.lease, kind: 'retry', delayMs: 0 }])
      const retried = await takeOne(one, queue)
      tokens.push(retried.fencingToken)
      await one.settle(queue, [{ lease: retried.lease, kind: 'release' }])
      const released = await takeOne(two, queue)
      tokens.push(released.fencingToken)
      await two.settle(queue, [{ lease: released.lease, kind: 'dead-letter', reason: 'broken' }])
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      await one.redrive(queue, [dead!.handle])
      tokens.push((await takeOne(one, queue)).fencingToken)
      for (const index of numbers(tokens.length - 1))
        assert.ok(tokens[index + 1]! > tokens[index]!, `the tokens rise: ${tokens.join(', ')}`)
    },
  },
  {
    id: 'queue.extend.moves',
    title:
      'extend moves the end of a live lease to leaseMs from now: nobody gets the message before, someone after',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      const leaseMs = Math.max(shortMs, 900)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, leaseMs)
      const waiting = two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 2 * leaseMs + soonMs })
      const extended = performance.now()
      assert.deepEqual(await one.extend(queue, [lease], 2 * leaseMs), ['extended'])
      const found = await within(2 * leaseMs + soonMs, 'the claim after the extended lease', waiting)
      notBefore(performance.now() - extended, 2 * leaseMs, 'claimed by another')
      assert.deepEqual(ids(found), ['m0'])
      assert.equal(found[0]!.starts, 2)
    },
  },
  {
    id: 'queue.extend.keeps',
    title: 'a lease that is extended again and again outlives many times its first length',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      const leaseMs = Math.max(shortMs, 1_000)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, leaseMs)
      const end = performance.now() + 3 * leaseMs
      while (performance.now() < end) {
        assert.deepEqual(await one.extend(queue, [lease], leaseMs), ['extended'])
        const found = await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: Math.round(leaseMs / 5) })
        assert.deepEqual(found, [], 'nobody else gets it')
      }
      await nothingClaimable(two, queue, 'nobody else gets it')
      assert.deepEqual(await one.settle(queue, [{ lease, kind: 'done' }]), ['settled'])
    },
  },
  {
    id: 'queue.extend.shortens',
    title: 'extend moves the end to leaseMs from now also when that is earlier',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, longMs)
      assert.deepEqual(await one.extend(queue, [lease], shortMs), ['extended'])
      assert.equal((await takeOne(two, queue)).id, 'm0')
    },
  },
  {
    id: 'queue.extend.order',
    title: 'the results of extend stand in the order of the leases; a settled one is stale',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(4))
      const [a, b, c, d] = await take(one, queue, 4)
      await one.settle(queue, [
        { lease: b!.lease, kind: 'done' },
        { lease: d!.lease, kind: 'release' },
      ])
      const leases = [d!.lease, c!.lease, b!.lease, a!.lease]
      assert.deepEqual(await one.extend(queue, leases, longMs), ['stale', 'extended', 'stale', 'extended'])
    },
  },
  {
    id: 'queue.extend.stale',
    title:
      'a lease that expired and was claimed again is stale for extend: the lease of the other is as it was',
    requires: ['queue.fencing'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const old = await takeOne(one, queue, shortMs)
      const leaseMs = Math.max(shortMs, 500)
      const start = performance.now()
      await takeOne(two, queue, leaseMs)
      assert.deepEqual(await one.extend(queue, [old.lease], longMs), ['stale'])
      assert.equal((await takeOne(one, queue)).starts, 3, 'it ended in its own time')
      notBefore(performance.now() - start, leaseMs, 'and not before')
    },
  },
  {
    id: 'queue.extend.expired',
    title: 'extending a lease that expired is stale, or takes effect: never extended and claimable',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, shortMs)
      await pass(shortMs + 50)
      const [result] = await one.extend(queue, [lease], longMs)
      if (result === 'extended') await nothingClaimable(two, queue, 'an extended lease is live')
      else assert.equal((await takeOne(two, queue)).starts, 2)
    },
  },
]
