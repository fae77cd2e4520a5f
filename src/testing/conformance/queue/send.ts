// Sending: what is stored, in which order, and what is refused before anything is stored.
import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../../ports/queue.ts'
import { refused } from '../refusal.ts'
import { bodyOfBytes, fresh, largeBody, numbers, unusualBodies, unusualKeys } from '../sample.ts'
import { cutOffs } from '../wait.ts'
import {
  counts,
  ids,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  queuePorts,
  sorted,
  take,
} from './bench.ts'

/** Above this a body is not built in a test. */
const buildable = 64 * 1024 * 1024

export const sendCases: readonly QueueCase[] = [
  {
    id: 'queue.send.stores',
    title: 'send stores what it is given: id, key and no key come back',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [
        { id: 'with', key: 'customer-7', body: '{"n":1}' },
        { id: 'without', body: '{"n":2}' },
        { id: 'undefined', key: undefined, body: '{"n":3}' },
      ])
      const found = await take(two, queue, 3)
      assert.deepEqual(
        found.map(({ id, key, body }) => ({ id, key, body })),
        [
          { id: 'with', key: 'customer-7', body: '{"n":1}' },
          { id: 'without', key: undefined, body: '{"n":2}' },
          { id: 'undefined', key: undefined, body: '{"n":3}' },
        ],
      )
    },
  },
  {
    id: 'queue.send.bodies',
    title: 'bodies are opaque and come back byte for byte, one by one and in a batch',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const bodies = [...unusualBodies, largeBody()]
      const batch: OutgoingMessage[] = bodies.map((body, index) => ({ id: `b${index}`, body }))
      await one.send(queue, batch)
      for (const message of batch) await two.send(queue, [{ ...message, id: `single-${message.id}` }])
      const found = new Map((await take(two, queue, 2 * bodies.length)).map(({ id, body }) => [id, body]))
      for (const { id, body } of batch) {
        assert.equal(found.get(id), body, `the body of ${id} in a batch`)
        assert.equal(found.get(`single-${id}`), body, `the body of ${id} on its own`)
      }
    },
  },
  {
    id: 'queue.send.keys-and-ids',
    title: 'unusual keys and ids come back as they were',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(
        queue,
        unusualKeys.map((key) => ({ id: key, key, body: '{}' })),
      )
      const found = await take(two, queue, unusualKeys.length)
      assert.deepEqual(ids(found), unusualKeys)
      assert.deepEqual(
        found.map(({ key }) => key),
        unusualKeys,
      )
    },
  },
  {
    id: 'queue.send.order-within',
    title: 'messages of one call become claimable in their order',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(60))
      const found: string[] = []
      while (found.length < 60) {
        const batch = await two.claim(queue, { limit: 7, leaseMs: longMs, waitMs: 1_000 })
        assert.notEqual(batch.length, 0, `there is more after ${found.length}`)
        found.push(...ids(batch))
      }
      assert.deepEqual(found, ids(messages(60)))
    },
  },
  {
    id: 'queue.send.order-between',
    title: 'so do those of calls of which one resolved before the other was made, also in another process',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const expected: string[] = []
      for (const round of numbers(12)) {
        const batch = messages(3, `r${round}-`)
        await (round % 2 ? one : two).send(queue, batch)
        expected.push(...ids(batch))
      }
      assert.deepEqual(ids(await take(one, queue, expected.length)), expected)
    },
  },
  {
    id: 'queue.send.concurrent',
    title: 'concurrent sends of several processes are all stored, each call in its own order',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await Promise.all(
        numbers(40).map((call) => (call % 2 ? one : two).send(queue, messages(5, `c${call}-`))),
      )
      const found = ids(await take(one, queue, 200))
      assert.equal(new Set(found).size, 200)
      for (const call of numbers(40))
        assert.deepEqual(
          found.filter((id) => id.startsWith(`c${call}-`)),
          ids(messages(5, `c${call}-`)),
        )
    },
  },
  {
    id: 'queue.send.same-id',
    title: 'identical ids are separate messages, within a call and between calls',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [
        { id: 'same', body: '1' },
        { id: 'same', body: '2' },
      ])
      await two.send(queue, [{ id: 'same', body: '3' }])
      const found = await take(one, queue, 3)
      assert.deepEqual(sorted(found.map(({ body }) => body)), ['1', '2', '3'])
      assert.equal(new Set(found.map(({ lease }) => lease)).size, 3, 'each has a lease of its own')
      await one.settle(queue, [{ lease: found[0]!.lease, kind: 'done' }])
      await counts(one, queue, { leased: 2 })
    },
  },
  {
    id: 'queue.send.many',
    title: 'one call may carry thousands of messages; so may a claim and a settle',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const count = 10_000
      await one.send(queue, messages(count))
      const found = await take(two, queue, count)
      assert.deepEqual(ids(found), ids(messages(count)))
      const results = await two.settle(
        queue,
        found.map(({ lease }) => ({ lease, kind: 'done' as const })),
      )
      assert.equal(results.length, count)
      assert.ok(results.every((result) => result === 'settled'))
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.send.too-large',
    title: 'TOO_LARGE before anything is stored when a body exceeds the limit, measured in UTF-8',
    requires: ['queue'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      const { maxBodyBytes } = one.limits
      assert.ok(maxBodyBytes >= 1_024 && maxBodyBytes < buildable, `maxBodyBytes is ${maxBodyBytes}`)
      const body = bodyOfBytes(maxBodyBytes + 1)
      assert.ok(body.length < maxBodyBytes, 'in characters it is below the limit')
      await refused(
        'TOO_LARGE',
        () => one.send(queue, [...messages(2), { id: 'large', body }, ...messages(2, 'after')]),
        'send',
      )
      await nothingClaimable(one, queue, 'the messages beside the large one were not stored')
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.send.just-fits',
    title: 'a body of exactly the limit is taken',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const body = bodyOfBytes(one.limits.maxBodyBytes)
      await one.send(queue, [{ id: 'fits', body }])
      const [found] = await take(two, queue, 1)
      assert.ok(found!.body === body, 'it came back byte for byte')
    },
  },
  {
    id: 'queue.send.atomic',
    title:
      'a send that is cut off by close stored all of its messages when it resolved and none when it rejected',
    requires: ['queue.atomicSend', 'shared storage'],
    async run(subject) {
      const { one } = queuePorts(subject)
      for (const cutOff of cutOffs) {
        const queue = fresh('queue')
        await one.declare([queue])
        const engine = await subject.access.openEngine()
        const calls = numbers(30).map((call) => engine.queue!.send(queue, messages(20, `c${call}-`)))
        const settled = Promise.allSettled(calls)
        await cutOff(calls)
        await engine.close()
        const outcomes = await settled
        const stored = outcomes.filter(({ status }) => status === 'fulfilled').length
        await counts(one, queue, { ready: stored * 20 })
        const found = ids(await take(one, queue, stored * 20))
        for (const [call, { status }] of outcomes.entries()) {
          const its = found.filter((id) => id.startsWith(`c${call}-`))
          assert.deepEqual(its, status === 'fulfilled' ? ids(messages(20, `c${call}-`)) : [], `call ${call}`)
        }
      }
    },
  },
]
