// The rule `groups` with a `concurrency`: how many of a group may be leased at once.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { notBefore, pass } from '../wait.ts'
import {
  counts,
  end,
  endings,
  grouped,
  ids,
  longMs,
  look,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
  wakes,
} from './bench.ts'
import { tally } from './rules-groups.ts'

const rules = { groups: { concurrency: 2 } }

export const groupConcurrencyCases: readonly QueueCase[] = [
  {
    id: 'queue.groups.concurrency',
    title: 'at most `concurrency` messages of a group are leased at once, over all processes; others go on',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [...grouped('a', 30), ...messages(5), ...grouped('b', 3), ...grouped('c', 1)])
      const found = [...(await take(one, queue, 3)), ...(await take(two, queue, 4))]
      assert.deepEqual(tally(found), { a: 2, m: 2, b: 2, c: 1 }, 'those without a group are one')
      await nothingClaimable(one, queue, 'no group has a place')
      await nothingClaimable(two, queue, 'no group has a place')
      await end(one, queue, [found.find(({ id }) => id.startsWith('b'))!])
      assert.deepEqual(ids(await take(two, queue, 1)), ['b2'])
      await counts(one, queue, { ready: 31, leased: 7 })
    },
  },
  {
    id: 'queue.groups.concurrency.freed',
    title: 'a settlement of any kind frees one place of its group',
    requires: ['queue.groups'],
    async run(subject) {
      for (const [at, ending] of endings.entries()) {
        const { queue, one, two } = await queueBench(subject, { groups: { concurrency: 1 } })
        await one.send(queue, [...grouped('a', 2), ...grouped('b', 2)])
        const both = await take(one, queue, 2)
        const ended = both.filter(({ id }) => id === 'a0')
        await end(at % 2 ? one : two, queue, ended, ending)
        const next = await takeOne(two, queue)
        assert.ok(next.id.startsWith('a'), `${ending.kind}: ${next.id}`)
        await nothingClaimable(one, queue, `${ending.kind} frees one place`)
      }
    },
  },
  {
    id: 'queue.groups.concurrency.expiry',
    title:
      'a lease that ends frees its place, and a waiting claim resolves by that; one that is extended keeps it',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, { groups: { concurrency: 1 } })
      const leaseMs = Math.max(shortMs, 900)
      await one.send(queue, grouped('a', 2))
      const { lease } = await takeOne(one, queue, leaseMs)
      const start = performance.now()
      assert.deepEqual(await one.extend(queue, [lease], 2 * leaseMs), ['extended'])
      assert.ok((await takeOne(two, queue)).id.startsWith('a'))
      notBefore(performance.now() - start, 2 * leaseMs, 'the place was free')
      await nothingClaimable(one, queue, 'it is taken again')
    },
  },
  {
    id: 'queue.groups.concurrency.wakes',
    title: 'a waiting claim resolves as soon as another process frees a place of a group',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, grouped('a', 5))
      let held = await take(one, queue, 2)
      for (const next of ['a2', 'a3']) {
        const found = await wakes(two, queue, () => end(one, queue, held.slice(0, 1)))
        assert.deepEqual(ids(found), [next])
        held = [...held.slice(1), ...found]
      }
    },
  },
  {
    id: 'queue.groups.concurrency.processes',
    title: 'processes that claim at once never hold more of a group than it may have',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const groups = ['a', 'b', 'c']
      await one.send(
        queue,
        groups.flatMap((group) => grouped(group, 15)),
      )
      const held = new Map<string, number>()
      const done: string[] = []
      const work = async (port: QueuePort) => {
        for (let idle = 0; done.length < 45 && idle < 20; ) {
          const batch = await port.claim(queue, { limit: 4, leaseMs: longMs, waitMs: 250 })
          idle = batch.length === 0 ? idle + 1 : 0
          for (const { id } of batch) {
            const now = (held.get(id[0]!) ?? 0) + 1
            held.set(id[0]!, now)
            assert.ok(now <= 2, `${now} of the group ${id[0]} are leased`)
          }
          for (const { id, lease, starts } of batch) {
            await pass(1)
            held.set(id[0]!, held.get(id[0]!)! - 1)
            if (starts === 1 && id.endsWith('3'))
              await end(port, queue, [{ lease }], { kind: 'retry', delayMs: 1 })
            else {
              done.push(id)
              await end(port, queue, [{ lease }])
            }
          }
        }
      }
      await Promise.all(numbers(6).map((claimer) => work(claimer % 2 ? one : two)))
      assert.deepEqual(sorted(done), sorted(groups.flatMap((group) => ids(messages(15, group)))))
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.groups.concurrency.priority',
    title: 'a group without a place lets lower priorities of other groups pass',
    requires: ['queue.groups', 'queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { ...rules, priority: true })
      await one.send(queue, [
        ...grouped('high', 4).map((message) => ({ ...message, priority: 9 })),
        ...grouped('low', 1),
      ])
      assert.deepEqual(ids(await take(two, queue, 3)), ['high0', 'high1', 'low0'])
      assert.deepEqual(await look(one, queue), [])
    },
  },
]
