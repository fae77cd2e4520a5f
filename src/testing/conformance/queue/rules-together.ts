// All rules at once: each of them holds while the others do.
import assert from 'node:assert/strict'
import type { ClaimedMessage, OutgoingMessage, QueuePort, Settlement } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { notBefore, pass } from '../wait.ts'
import { counts, ids, longMs, type QueueCase, queueBench, sorted, take } from './bench.ts'

const rate = { count: 12, perMs: 600 }
const rules = {
  keyOrder: true,
  priority: true,
  dedup: true,
  groups: { concurrency: 2 },
  concurrency: 4,
  rate,
}
const groupNames = ['x', 'y', 'z']

/** 45 messages: nine keys of five, three keys in each group; one group comes first as long as it may. */
const all: readonly OutgoingMessage[] = numbers(45).map((index) => ({
  id: `k${index % 9}-${Math.floor(index / 9)}`,
  key: `k${index % 9}`,
  body: `{"n":${index}}`,
  group: groupNames[index % 3],
  priority: index % 3 === 0 ? 9 : (index * 7) % 5,
  dedup: { key: `d${index}` },
}))

/** What is leased, as far as those know who hold it: no more than there really is. */
class Held {
  readonly #keys = new Set<string>()
  readonly #groups = new Map<string, number>()

  take({ key, id }: ClaimedMessage): void {
    assert.ok(!this.#keys.has(key!), `${id}: its key is held`)
    this.#keys.add(key!)
    this.#count(key!, 1)
    assert.ok(this.#keys.size <= 4, `${this.#keys.size} are leased at once`)
  }

  give({ key }: ClaimedMessage): void {
    this.#keys.delete(key!)
    this.#count(key!, -1)
  }

  #count(key: string, by: number): void {
    const group = groupNames[Number(key.slice(1)) % 3]!
    const now = (this.#groups.get(group) ?? 0) + by
    this.#groups.set(group, now)
    assert.ok(now <= 2, `${now} of the group ${group} are leased at once`)
  }
}

export const togetherCases: readonly QueueCase[] = [
  {
    id: 'queue.rules.together',
    title: 'all rules hold at once, for several processes that send, claim, retry and bury',
    requires: [
      'queue.keyOrder',
      'queue.priority',
      'queue.dedup',
      'queue.groups',
      'queue.concurrency',
      'queue.rate',
    ],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      const [stored, refused] = [await one.send(queue, all), await two.send(queue, all)]
      assert.deepEqual([stored.length, refused.length], [0, 45])
      const held = new Held()
      const order: string[] = []
      const times: number[] = []
      const start = performance.now()
      const work = async (port: QueuePort, claimer: number) => {
        for (let idle = 0; order.length < 45 && idle < 40; ) {
          const batch = await port.claim(queue, { limit: 1 + (claimer % 3), leaseMs: longMs, waitMs: 200 })
          idle = batch.length === 0 ? idle + 1 : 0
          times.push(...batch.map(() => performance.now()))
          for (const message of batch) held.take(message)
          for (const message of batch) {
            await pass(3)
            held.give(message)
            const again = message.starts === 1 && message.id.endsWith('3')
            if (!again) order.push(message.id)
            const { lease } = message
            const ending: Settlement = again
              ? { lease, kind: 'retry', delayMs: 20 }
              : message.id.endsWith('4')
                ? { lease, kind: 'dead-letter', reason: 'broken' }
                : { lease, kind: 'done' }
            assert.deepEqual(await port.settle(queue, [ending]), ['settled'])
          }
        }
      }
      await Promise.all(numbers(5).map((claimer) => work(claimer % 2 ? one : two, claimer)))
      assert.deepEqual(sorted(order), sorted(ids(all)), 'each was handled once')
      for (const key of numbers(9))
        assert.deepEqual(
          order.filter((id) => id.startsWith(`k${key}-`)),
          numbers(5).map((index) => `k${key}-${index}`),
        )
      for (const [at, time] of times.toSorted((a, b) => a - b).entries())
        notBefore(time - start, (at + 1 - rate.count) * (rate.perMs / rate.count), `start ${at + 1}`)
      await counts(one, queue, { dead: 9 })
      assert.deepEqual(await one.send(queue, all), [], 'all keys are free')
    },
  },
  {
    id: 'queue.rules.none',
    title: 'a queue that is declared with rules that are all off is a queue without rules',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, {
        keyOrder: false,
        priority: false,
        dedup: false,
      })
      const batch = numbers(6).map((index) => ({ id: `m${index}`, key: 'same', body: '{}' }))
      assert.deepEqual(await one.send(queue, batch), [])
      assert.deepEqual(ids(await take(two, queue, 6)), ids(batch))
    },
  },
]
