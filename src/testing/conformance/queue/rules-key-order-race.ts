// The rule `keyOrder` when several processes send, claim and settle at once.
import assert from 'node:assert/strict'
import type { QueuePort, Settlement } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { pass } from '../wait.ts'
import { counts, ids, longMs, messages, type QueueCase, queueBench, take } from './bench.ts'

const rules = { keyOrder: true }

export const keyOrderRaceCases: readonly QueueCase[] = [
  {
    id: 'queue.key-order.processes',
    title: 'processes that claim at once never hold two messages of a key, and each key comes in order',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const keys = numbers(8).map((index) => `k${index}-`)
      for (const round of numbers(10))
        await one.send(
          queue,
          keys.map((key) => ({ id: `${key}${round}`, key, body: '{}' })),
        )
      const held = new Map<string, string>()
      const handled = new Map<string, string[]>(keys.map((key) => [key, []]))
      let left = 80
      const work = async (port: QueuePort, claimer: number) => {
        for (let idle = 0; left > 0 && idle < 20; ) {
          const batch = await port.claim(queue, { limit: 1 + (claimer % 4), leaseMs: longMs, waitMs: 250 })
          idle = batch.length === 0 ? idle + 1 : 0
          for (const { key, id } of batch) {
            assert.equal(held.get(key!), undefined, `${id} was given while another of its key was held`)
            held.set(key!, id)
          }
          for (const { key, id, lease, starts } of batch) {
            await pass(starts % 2)
            const again = starts < 3 && (id.length + left + claimer) % 3 === 0
            // Before the settlement: the next one may come before it has resolved.
            held.delete(key!)
            if (!again) {
              handled.get(key!)!.push(id)
              left--
            }
            const settlement: Settlement = again
              ? { lease, kind: 'retry', delayMs: left % 2 ? 5 : 0 }
              : { lease, kind: 'done' }
            assert.deepEqual(await port.settle(queue, [settlement]), ['settled'])
          }
        }
      }
      await Promise.all(numbers(6).map((claimer) => work(claimer % 2 ? one : two, claimer)))
      for (const [key, order] of handled)
        assert.deepEqual(
          order,
          numbers(10).map((round) => `${key}${round}`),
        )
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.key-order.rounds',
    title: 'settling the heads of many keys in one call lets the next of each pass, once',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const keys = numbers(40).map((index) => `k${index}-`)
      await one.send(
        queue,
        keys.flatMap((key) => numbers(4).map((round) => ({ id: `${key}${round}`, key, body: '{}' }))),
      )
      for (const round of numbers(4)) {
        const port = round % 2 ? one : two
        const heads = await take(port, queue, 40)
        assert.deepEqual(new Set(ids(heads)), new Set(keys.map((key) => `${key}${round}`)))
        const results = await port.settle(
          queue,
          heads.map(({ lease }, index) =>
            index % 4 === 0 ? { lease, kind: 'dead-letter', reason: 'broken' } : { lease, kind: 'done' },
          ),
        )
        assert.ok(results.every((result) => result === 'settled'))
      }
      await counts(one, queue, { dead: 40 })
    },
  },
  {
    id: 'queue.key-order.sends',
    title:
      'sends of one key from several processes at once: one line, in which the messages of each stand in their order',
    requires: ['queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await Promise.all(
        numbers(4).map(async (sender) => {
          for (const call of numbers(6))
            await (sender % 2 ? one : two).send(
              queue,
              messages(2, `s${sender}-${call}-`).map((message) => ({ ...message, key: 'all' })),
            )
        }),
      )
      const order: string[] = []
      for (const index of numbers(48)) {
        const port = index % 2 ? one : two
        const [head, ...others] = await take(port, queue, 1)
        assert.deepEqual(others, [])
        assert.deepEqual(ids(await port.claim(queue, { limit: 5, leaseMs: longMs, waitMs: 0 })), [])
        order.push(head!.id)
        await port.settle(queue, [{ lease: head!.lease, kind: 'done' }])
      }
      for (const sender of numbers(4))
        assert.deepEqual(
          order.filter((id) => id.startsWith(`s${sender}-`)),
          numbers(6).flatMap((call) => ids(messages(2, `s${sender}-${call}-`))),
        )
      await counts(one, queue, {})
    },
  },
]
