// Many consumers and senders of several processes at once: each message once, none lost, counts right at the end.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import {
  counts,
  ids,
  longMs,
  messages,
  type QueueBench,
  type QueueCase,
  queueBench,
  sorted,
} from './bench.ts'

/** Claimers on both handles work until `expected` messages were handled or nothing has come for a while. */
async function workOff(
  bench: QueueBench,
  claimers: number,
  expected: number,
  handle: (port: QueuePort, message: { id: string; lease: string; starts: number }) => Promise<boolean>,
): Promise<readonly string[]> {
  const { queue, one, two } = bench
  const handled: string[] = []
  await Promise.all(
    numbers(claimers).map(async (claimer) => {
      const port = claimer % 2 ? one : two
      for (let idle = 0; handled.length < expected && idle < 5; ) {
        const batch = await port.claim(queue, { limit: 1 + (claimer % 7), leaseMs: longMs, waitMs: 250 })
        idle = batch.length === 0 ? idle + 1 : 0
        for (const message of batch) if (await handle(port, message)) handled.push(message.id)
      }
    }),
  )
  return handled
}

export const concurrencyCases: readonly QueueCase[] = [
  {
    id: 'queue.concurrent.each-once',
    title: 'eight claimers of two processes on 500 messages: each message is leased once',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one } = bench
      await one.send(queue, messages(500))
      const handled = await workOff(bench, 8, 500, async (port, { lease, starts }) => {
        assert.equal(starts, 1)
        assert.deepEqual(await port.settle(queue, [{ lease, kind: 'done' }]), ['settled'])
        return true
      })
      assert.deepEqual(sorted(handled), sorted(ids(messages(500))))
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.concurrent.send-and-claim',
    title: 'nothing is lost or doubled while several processes send and claim',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const sending = Promise.all(
        numbers(4).map(async (sender) => {
          for (const call of numbers(15))
            await (sender % 2 ? one : two).send(queue, messages(5, `s${sender}-${call}-`))
        }),
      )
      const working = workOff(bench, 6, 300, async (port, { lease }) => {
        assert.deepEqual(await port.settle(queue, [{ lease, kind: 'done' }]), ['settled'])
        return true
      })
      const [handled] = await Promise.all([working, sending])
      assert.equal(handled.length, 300)
      assert.equal(new Set(handled).size, 300)
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.concurrent.retries',
    title: 'nothing is lost or doubled while messages are retried, released and buried',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await one.send(queue, messages(150))
      const released = new Set<string>()
      const handled = await workOff(bench, 6, 150, async (port, { id, lease, starts }) => {
        const number = Number(id.slice(1))
        if (number % 3 === 0 && !released.has(id)) {
          released.add(id)
          assert.equal(starts, 1)
          assert.deepEqual(await port.settle(queue, [{ lease, kind: 'release' }]), ['settled'])
          return false
        }
        if (number % 5 === 0 && starts < 3) {
          assert.deepEqual(await port.settle(queue, [{ lease, kind: 'retry', delayMs: 5 }]), ['settled'])
          return false
        }
        const kind =
          number % 7 === 0 ? ({ kind: 'dead-letter', reason: id } as const) : ({ kind: 'done' } as const)
        assert.deepEqual(await port.settle(queue, [{ lease, ...kind }]), ['settled'])
        return true
      })
      assert.deepEqual(sorted(handled), sorted(ids(messages(150))))
      const dead = await two.deadLetters(queue, { limit: 150 })
      assert.deepEqual(
        sorted(ids(dead)),
        sorted(ids(messages(150)).filter((id) => Number(id.slice(1)) % 7 === 0)),
      )
      await counts(one, queue, { dead: dead.length })
    },
  },
]
