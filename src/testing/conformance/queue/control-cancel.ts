// Cancelling messages by their ids: those that wait, and those that somebody works on.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { eventually, pass } from '../wait.ts'
import {
  counts,
  end,
  endings,
  ids,
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

export const cancelCases: readonly QueueCase[] = [
  {
    id: 'queue.cancel.waits',
    title: 'a message that waits is removed, whether it is ready or waits for a retry; the others stay',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(5))
      await end(one, queue, await take(one, queue, 2), { kind: 'retry', delayMs: 400 })
      assert.deepEqual(await two.cancel(queue, ['m3', 'm0', 'nobody']), ['removed', 'removed', 'unknown'])
      assert.deepEqual(await one.cancel(queue, ['m3', 'm0']), ['unknown', 'unknown'], 'they are gone')
      assert.deepEqual(ids(await take(two, queue, 3)).sort(), ['m1', 'm2', 'm4'])
      await nothingClaimable(one, queue, 'the others are gone')
      await counts(one, queue, { leased: 3 })
    },
  },
  {
    id: 'queue.cancel.delayed',
    title: 'a message that was sent for later is removed, and does not come in its time',
    requires: ['queue.cancel', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [{ id: 'later', body: '{}', delayMs: 200 }])
      assert.deepEqual(await two.cancel(queue, ['later']), ['removed'])
      assert.deepEqual(await one.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 400 }), [])
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.cancel.leased',
    title: 'who holds a cancelled message learns it with every extension, which takes place all the same',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      const leaseMs = Math.max(shortMs, 1_500)
      await one.send(queue, messages(2))
      const [a, b] = await take(one, queue, 2, leaseMs)
      assert.deepEqual(await two.cancel(queue, ['m0']), ['signalled'])
      const leases = [b!.lease, a!.lease]
      assert.deepEqual(await one.extend(queue, leases, longMs), ['extended', 'cancelled'])
      await pass(leaseMs)
      assert.deepEqual(await two.cancel(queue, ['m0']), ['signalled'], 'said again')
      for (const _ of numbers(2))
        assert.deepEqual(await one.extend(queue, leases, longMs), ['extended', 'cancelled'])
      await counts(two, queue, { leased: 2 })
      await nothingClaimable(two, queue, 'both leases are live')
      await end(one, queue, [b!, a!])
      await counts(two, queue, {})
    },
  },
  {
    id: 'queue.cancel.ends',
    title:
      'a cancelled message is removed when its lease ends, whatever it is settled as: neither retried nor a dead letter',
    requires: ['queue.cancel'],
    async run(subject) {
      for (const ending of [...endings, { kind: 'retry', delayMs: 50 } as const]) {
        const { queue, one, two } = await queueBench(subject)
        await one.send(queue, messages(1))
        const held = await take(one, queue, 1)
        await two.cancel(queue, ['m0'])
        await end(one, queue, held, ending)
        await counts(two, queue, {})
        assert.deepEqual(await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 100 }), [], ending.kind)
        assert.deepEqual(await one.cancel(queue, ['m0']), ['unknown'])
      }
    },
  },
  {
    id: 'queue.cancel.expires',
    title: 'a cancelled message whose lease ended is gone: nobody can claim, extend or cancel it',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue, shortMs)
      await two.cancel(queue, ['m0'])
      const found = await two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: 2 * shortMs })
      assert.deepEqual(found, [])
      await counts(two, queue, {})
      if (one.capabilities.fencing === 'engine')
        assert.deepEqual(await one.extend(queue, [lease], longMs), ['stale'])
      assert.deepEqual(await one.cancel(queue, ['m0']), ['unknown'])
    },
  },
  {
    id: 'queue.cancel.lost',
    title: 'a message whose lease ended before it is cancelled waits: it does not come again',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(2))
      await takeOne(one, queue, shortMs)
      await pass(shortMs + 50)
      await two.cancel(queue, ['m0'])
      assert.deepEqual(ids(await take(two, queue, 1)), ['m1'])
      await eventually('it is gone', async () =>
        assert.deepEqual(await one.cancel(queue, ['m0']), ['unknown']),
      )
      assert.deepEqual(await look(one, queue), [])
      await counts(one, queue, { leased: 1 })
    },
  },
  {
    id: 'queue.cancel.dead',
    title: 'a dead letter is not touched, and lives when it is redriven',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      await kill(one, queue, 'broken')
      assert.deepEqual(await two.cancel(queue, ['m0']), ['unknown'])
      await counts(one, queue, { dead: 1 })
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.equal(await two.redrive(queue, [dead!.handle]), 1)
      const { lease } = await takeOne(one, queue)
      assert.deepEqual(await one.extend(queue, [lease], longMs), ['extended'])
    },
  },
  {
    id: 'queue.cancel.same-id',
    title: 'all messages that have the id are cancelled, those sent later are not',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const same = (body: string) => ({ id: 'same', body })
      await one.send(queue, [same('1'), same('2'), ...messages(1)])
      const held = await takeOne(one, queue)
      await two.send(queue, [same('3')])
      assert.deepEqual(await two.cancel(queue, ['same']), ['signalled'], 'one of them is leased')
      await one.send(queue, [same('4')])
      assert.deepEqual(ids(await take(two, queue, 2)), ['m0', 'same'])
      await end(one, queue, [held], { kind: 'release' })
      await nothingClaimable(one, queue, 'the one that was leased is gone')
      await counts(two, queue, { leased: 2 })
    },
  },
  {
    id: 'queue.cancel.race',
    title:
      'of a cancel and a claim at once one is first: it is removed and never given, or given and signalled',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(60))
      const held = new Map<string, string>()
      const results = new Map<string, string>()
      const claim = async (claimer: number) => {
        for (const { id, lease } of await look(claimer % 2 ? one : two, queue, 4)) held.set(id, lease)
      }
      const cancel = async (call: number) => {
        const chosen = ids(messages(60)).slice(5 * call, 5 * call + 5)
        const outcome = await (call % 2 ? two : one).cancel(queue, chosen)
        for (const [index, id] of chosen.entries()) results.set(id, outcome[index]!)
      }
      const calls = numbers(12)
      await Promise.all([
        ...calls.slice(0, 6).map(cancel),
        ...calls.map(claim),
        ...calls.slice(6).map(cancel),
      ])
      await nothingClaimable(one, queue, 'all are cancelled')
      for (const [id, lease] of held) {
        assert.equal(results.get(id), 'signalled', `${id} was given`)
        assert.deepEqual(await one.extend(queue, [lease], longMs), ['cancelled'])
      }
      for (const [id, result] of results) assert.equal(result, held.has(id) ? 'signalled' : 'removed', id)
      await counts(two, queue, { leased: held.size })
    },
  },
  {
    id: 'queue.cancel.many',
    title: 'one call may cancel thousands; the results stand in the order of the ids',
    requires: ['queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(3_000))
      await take(two, queue, 3)
      const chosen = ids(messages(3_000)).filter((_, index) => index % 3 === 0)
      const results = await two.cancel(queue, [...chosen.toReversed(), 'nobody'])
      assert.deepEqual(results.slice(-3), ['removed', 'signalled', 'unknown'])
      assert.deepEqual(new Set(results.slice(0, -2)), new Set(['removed']))
      assert.deepEqual(await one.cancel(queue, []), [])
      await counts(one, queue, { ready: 1_998, leased: 3 })
    },
  },
]
