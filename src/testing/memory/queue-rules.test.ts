// What the conformance cases cannot measure of the rules: the very millisecond, timers, the bound of what is kept, and the cost.
import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSpillwayError } from '../../core/errors.ts'
import type { ClaimedMessage, OutgoingMessage, QueuePort } from '../../ports/queue.ts'
import type { QueueRules } from '../../ports/queue-rules.ts'
import { type FakeClock, fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'

const once = { limit: 10, leaseMs: 1_000, waitMs: 0 }
const waiting = { limit: 10, leaseMs: 1_000, waitMs: 60_000 }
const ids = (messages: readonly ClaimedMessage[] | undefined) => messages?.map(({ id }) => id)

async function bench(
  rules: QueueRules,
  maxMessages = 1_000_000,
): Promise<{ clock: FakeClock; queue: QueuePort }> {
  const clock = fakeClock()
  const queue = memory({ clock, maxMessages }).queue!
  await queue.declare(['q'], rules)
  return { clock, queue }
}

function several(
  count: number,
  carried: (index: number) => Partial<OutgoingMessage> = () => ({}),
): OutgoingMessage[] {
  return Array.from({ length: count }, (_, index) => ({ id: `m${index}`, body: '{}', ...carried(index) }))
}

function watch<T>(promise: Promise<T>): { value: T | undefined } {
  const seen: { value: T | undefined } = { value: undefined }
  promise.then((value) => {
    seen.value = value
  })
  return seen
}

test('a waiting claim wakes at the very millisecond at which the bucket has a start, and no timer is left', async () => {
  const { clock, queue } = await bench({ rate: { count: 3, perMs: 1_000 } })
  await queue.send('q', several(10))
  assert.deepEqual(ids(await queue.claim('q', once)), ['m0', 'm1', 'm2'])
  assert.equal(clock.timers, 0)
  const call = watch(queue.claim('q', { ...waiting, leaseMs: 60_000 }))
  await clock.advance(333)
  assert.equal(call.value, undefined)
  await clock.advance(1)
  assert.deepEqual(ids(call.value), ['m3'])
  assert.equal(clock.timers, 0)
  await clock.advance(10_000)
  assert.equal((await queue.claim('q', once)).length, 3, 'full, and no fuller')
})

test('a key is held to the very millisecond', async () => {
  const { clock, queue } = await bench({ dedup: true })
  const send = (id: string) => queue.send('q', [{ id, body: '{}', dedup: { key: 'k', forMs: 500 } }])
  await send('first')
  const [first] = await queue.claim('q', once)
  await queue.settle('q', [{ lease: first!.lease, kind: 'done' }])
  await clock.advance(499)
  assert.deepEqual(await send('second'), [{ index: 0, id: 'first' }])
  await clock.advance(1)
  assert.deepEqual(await send('third'), [])
})

test('a key that outlives its message keeps its room: what is remembered is bounded', async () => {
  const { clock, queue } = await bench({ dedup: true }, 2)
  const full = (error: unknown) => isSpillwayError(error, 'BACKLOG_FULL')
  await queue.send('q', [{ id: 'kept', body: '{}', dedup: { key: 'k', forMs: 500 } }, ...several(1)])
  const claimed = await queue.claim('q', once)
  await queue.settle(
    'q',
    claimed.map(({ lease }) => ({ lease, kind: 'done' })),
  )
  await assert.rejects(queue.send('q', several(2)), full)
  await queue.send('q', several(1))
  assert.deepEqual(await queue.send('q', [{ id: 'x', body: '{}', dedup: { key: 'k' } }]), [
    { index: 0, id: 'kept' },
  ])
  await clock.advance(500)
  await queue.send('q', several(1))
  await assert.rejects(queue.send('q', several(1)), full)
})

test('what is cancelled, purged or dead leaves its room', async () => {
  const { queue } = await bench({ dedup: true }, 4)
  await queue.send(
    'q',
    several(4, (index) => ({ dedup: { key: `k${index}` } })),
  )
  const [first, second] = await queue.claim('q', { ...once, limit: 2 })
  await queue.cancel('q', ['m1', 'm2'])
  await queue.settle('q', [
    { lease: first!.lease, kind: 'dead-letter', reason: 'why' },
    { lease: second!.lease, kind: 'release' },
  ])
  assert.equal(await queue.purge('q', 'waiting'), 1)
  assert.equal(await queue.purge('q', 'dead'), 1)
  assert.deepEqual(await queue.send('q', several(4)), [])
})

test('a paused queue sets no timer but those of the waits, and resume gives what became due', async () => {
  const { clock, queue } = await bench({})
  await queue.send('q', several(1))
  await queue.claim('q', once)
  const call = watch(queue.claim('q', waiting))
  await queue.pause('q')
  assert.equal(clock.timers, 1)
  await clock.advance(5_000)
  assert.equal(call.value, undefined)
  await queue.resume('q')
  await clock.advance(0)
  assert.deepEqual(ids(call.value), ['m0'])
})

test('a retry clears suspicion', async () => {
  const { clock, queue } = await bench({})
  await queue.send('q', several(1))
  await queue.claim('q', once)
  await clock.advance(1_000)
  const [lost] = await queue.claim('q', once)
  assert.equal(lost!.suspect, true)
  await queue.settle('q', [{ lease: lost!.lease, kind: 'retry', delayMs: 0 }])
  assert.equal((await queue.claim('q', once))[0]!.suspect, false)
})

test('with all rules a claim from a long backlog costs no more than from a short one', async () => {
  const rules = { keyOrder: true, priority: true, dedup: true, groups: { concurrency: 5 }, concurrency: 50 }
  const { queue } = await bench(rules)
  const round = async (count: number) => {
    const start = performance.now()
    for (let at = 0; at < count; at++) {
      const [message] = await queue.claim('q', { ...once, limit: 1 })
      await queue.settle('q', [{ lease: message!.lease, kind: 'done' }])
    }
    return performance.now() - start
  }
  // The best of many: after so much was sent, some rounds have the garbage collector in them.
  const best = async () => {
    let least = Number.POSITIVE_INFINITY
    for (let at = 0; at < 8; at++) least = Math.min(least, await round(50))
    return least
  }
  const backlog = (from: number, count: number) =>
    queue.send(
      'q',
      several(count, (index) => ({
        key: `k${index % 7_000}`,
        group: `g${index % 500}`,
        priority: index % 100,
        dedup: { key: `${from + index}` },
      })),
    )
  await backlog(0, 1_000)
  const short = await best()
  await backlog(1_000, 200_000)
  const long = await best()
  // A scan would cost thousands of times as much.
  assert.ok(long < 20 * short + 20, `${long} ms, ${short} ms`)
})
