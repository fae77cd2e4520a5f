// The rule `concurrency`: how many messages of a queue may be leased at once. Live leases count, so that nothing leaks.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { notBefore, pass } from '../wait.ts'
import {
  counts,
  end,
  endings,
  ids,
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

const rules = { concurrency: 3 }

export const concurrencyRuleCases: readonly QueueCase[] = [
  {
    id: 'queue.rule-concurrency.most',
    title:
      'at most `concurrency` messages are leased at once, over all processes; those that wait do not count',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const other = await queueBench(subject, rules)
      await one.send(queue, messages(10))
      const [first] = await take(one, queue, 1)
      await end(one, queue, [first!], { kind: 'retry', delayMs: longMs })
      assert.deepEqual(ids(await take(one, queue, 2)), ['m1', 'm2'])
      assert.deepEqual(ids(await take(two, queue, 1)), ['m3'])
      await nothingClaimable(one, queue, 'three are leased')
      await nothingClaimable(two, queue, 'three are leased')
      await counts(two, queue, { ready: 6, leased: 3, delayed: 1 })
      await other.one.send(other.queue, messages(5))
      await take(other.two, other.queue, 3)
    },
  },
  {
    id: 'queue.rule-concurrency.freed',
    title: 'a settlement of any kind, by any process, frees one place',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(12))
      let held = await take(one, queue, 3)
      for (const [at, ending] of endings.entries()) {
        await end(at % 2 ? one : two, queue, held.slice(0, 1), ending)
        const next = await takeOne(at % 2 ? two : one, queue)
        held = [...held.slice(1), next]
        await nothingClaimable(one, queue, `${ending.kind} frees one place`)
      }
      await end(one, queue, held)
      assert.equal((await take(two, queue, 3)).length, 3)
    },
  },
  {
    id: 'queue.rule-concurrency.expiry',
    title: 'leases that end free their places: those of a process that vanished do not leak',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, messages(9))
      for (const port of [one, two, one]) await take(port, queue, 3, shortMs)
      await take(two, queue, 3)
      await nothingClaimable(one, queue, 'three are leased')
      await counts(one, queue, { ready: 6, leased: 3 })
    },
  },
  {
    id: 'queue.rule-concurrency.extended',
    title: 'a lease that is extended keeps its place; when it ends a waiting claim resolves',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, { concurrency: 1 })
      const leaseMs = Math.max(shortMs, 900)
      await one.send(queue, messages(2))
      const { lease } = await takeOne(one, queue, leaseMs)
      const start = performance.now()
      assert.deepEqual(await one.extend(queue, [lease], 2 * leaseMs), ['extended'])
      await takeOne(two, queue)
      notBefore(performance.now() - start, 2 * leaseMs, 'the place was free')
      await nothingClaimable(one, queue, 'it is taken again')
    },
  },
  {
    id: 'queue.rule-concurrency.late',
    title: 'a lease that ended is not extended when its place is taken: it is stale',
    requires: ['queue.concurrency', 'queue.priority', 'queue.fencing'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, { concurrency: 1, priority: true })
      await one.send(queue, messages(1))
      const late = await takeOne(one, queue, shortMs)
      await one.send(queue, [{ id: 'urgent', body: '{}', priority: 1 }])
      await takeOne(two, queue)
      assert.deepEqual(await one.extend(queue, [late.lease], longMs), ['stale'])
      await counts(two, queue, { ready: 1, leased: 1 })
    },
  },
  {
    id: 'queue.rule-concurrency.wakes',
    title: 'a waiting claim resolves as soon as another process frees a place',
    requires: ['queue.concurrency'],
    async run(subject) {
      for (const ending of endings) {
        const { queue, one, two } = await queueBench(subject, { concurrency: 1 })
        await one.send(queue, messages(2))
        const held = await take(one, queue, 1)
        const found = await wakes(two, queue, () => end(one, queue, held, ending))
        assert.equal(found.length, 1, ending.kind)
      }
    },
  },
  {
    id: 'queue.rule-concurrency.processes',
    title: 'processes that claim at once never hold more, and all is handled',
    requires: ['queue.concurrency'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(60))
      let held = 0
      const done: string[] = []
      const work = async (port: QueuePort, claimer: number) => {
        for (let idle = 0; done.length < 60 && idle < 20; ) {
          const batch = await port.claim(queue, { limit: 1 + (claimer % 3), leaseMs: longMs, waitMs: 250 })
          idle = batch.length === 0 ? idle + 1 : 0
          held += batch.length
          assert.ok(held <= 3, `${held} are leased at once`)
          for (const { id, lease, starts } of batch) {
            await pass(1)
            held--
            const again = starts === 1 && id.endsWith('7')
            if (!again) done.push(id)
            await end(port, queue, [{ lease }], again ? { kind: 'retry', delayMs: 1 } : { kind: 'done' })
          }
        }
      }
      await Promise.all(numbers(6).map((claimer) => work(claimer % 2 ? one : two, claimer)))
      assert.deepEqual(sorted(done), sorted(ids(messages(60))))
      await counts(one, queue, {})
    },
  },
]
