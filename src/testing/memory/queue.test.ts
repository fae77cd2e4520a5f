import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSpillwayError } from '../../core/errors.ts'
import type { ClaimedMessage, QueuePort } from '../../ports/queue.ts'
import { type FakeClock, fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'

interface Bench {
  readonly clock: FakeClock
  readonly queue: QueuePort
  readonly close: () => Promise<void>
}

async function bench(maxMessages?: number): Promise<Bench> {
  const clock = fakeClock()
  const engine = memory({ clock, ...(maxMessages === undefined ? {} : { maxMessages }) })
  const queue = engine.queue!
  await queue.declare(['a', 'b'])
  return { clock, queue, close: () => engine.close() }
}

const once = { limit: 10, leaseMs: 1_000, waitMs: 0 }
const waiting = { limit: 10, leaseMs: 1_000, waitMs: 60_000 }
const message = (id: string) => ({ id, body: `{"id":"${id}"}` })
const ids = (messages: readonly ClaimedMessage[]) => messages.map(({ id }) => id)

function watch<T>(promise: Promise<T>): { value: T | undefined } {
  const seen: { value: T | undefined } = { value: undefined }
  promise.then((value) => {
    seen.value = value
  })
  return seen
}

test('a lease ends, a delay and a retry are due, to the millisecond of the injected clock', async () => {
  const { clock, queue } = await bench()
  await queue.send('a', [{ ...message('later'), delayMs: 500 }])
  await clock.advance(499)
  assert.deepEqual(ids(await queue.claim('a', once)), [])
  await clock.advance(1)
  const [first] = await queue.claim('a', once)
  await clock.advance(999)
  assert.deepEqual(ids(await queue.claim('a', once)), [])
  await clock.advance(1)
  const [second] = await queue.claim('a', once)
  assert.equal(second?.starts, 2)
  assert.ok(second.fencingToken > first!.fencingToken)
  await queue.settle('a', [{ lease: second.lease, kind: 'retry', delayMs: 30_000 }])
  await clock.advance(29_999)
  assert.deepEqual(ids(await queue.claim('a', once)), [])
  await clock.advance(1)
  assert.deepEqual(ids(await queue.claim('a', once)), ['later'])
})

test('a waiting claim wakes at the very millisecond of a due delay or of an ended lease', async () => {
  const { clock, queue } = await bench()
  await queue.send('a', [message('x'), { ...message('y'), delayMs: 4_000 }])
  await queue.claim('a', once)
  const expiry = watch(queue.claim('a', waiting))
  const delay = watch(queue.claim('a', waiting))
  await clock.advance(999)
  assert.equal(expiry.value, undefined)
  await clock.advance(1)
  assert.deepEqual(ids(expiry.value!), ['x'])
  await queue.settle('a', [{ lease: expiry.value![0]!.lease, kind: 'done' }])
  await clock.advance(2_999)
  assert.equal(delay.value, undefined)
  await clock.advance(1)
  assert.deepEqual(ids(delay.value!), ['y'])
})

test('an alarm moves with what it waits for: extended leases and nearer delays', async () => {
  const { clock, queue } = await bench()
  await queue.send('a', [message('x')])
  const [x] = await queue.claim('a', once)
  const call = watch(queue.claim('a', waiting))
  await clock.advance(900)
  assert.deepEqual(await queue.extend('a', [x!.lease], 10_000), ['extended'])
  await clock.advance(5_000)
  assert.equal(call.value, undefined)
  await queue.send('a', [{ ...message('near'), delayMs: 100 }])
  await clock.advance(100)
  assert.deepEqual(ids(call.value!), ['near'])
})

test('claims that wait are served in the order in which they came, before a new one', async () => {
  const { clock, queue } = await bench()
  await queue.send('a', [{ ...message('x'), delayMs: 1_000 }])
  const first = watch(queue.claim('a', { ...waiting, limit: 1 }))
  const second = watch(queue.claim('a', { ...waiting, limit: 1 }))
  await queue.send('a', [message('y')])
  await clock.advance(0)
  assert.deepEqual(ids(first.value!), ['y'])
  assert.equal(second.value, undefined)
  await clock.advance(1_000)
  assert.deepEqual(ids(second.value!), ['x'])
})

test('a wait that ended takes nothing more', async () => {
  const { clock, queue } = await bench()
  const abort = new AbortController()
  const aborted = queue.claim('a', { ...waiting, signal: abort.signal })
  const timedOut = watch(queue.claim('a', { ...waiting, waitMs: 10 }))
  abort.abort()
  assert.deepEqual(await aborted, [])
  await clock.advance(10)
  assert.deepEqual(timedOut.value, [])
  await queue.send('a', [message('x')])
  assert.deepEqual(ids(await queue.claim('a', once)), ['x'])
})

test('no timer is left when nobody waits, whatever is leased or delayed', async () => {
  const { clock, queue, close } = await bench()
  await queue.send('a', [message('x'), { ...message('y'), delayMs: 5_000 }])
  await queue.claim('a', once)
  assert.equal(clock.timers, 0)
  const call = queue.claim('a', waiting)
  assert.equal(clock.timers, 2)
  await close()
  assert.deepEqual(await call, [])
  assert.equal(clock.timers, 0)
})

test('a lease that ended but was not claimed since may be settled and extended', async () => {
  const { clock, queue } = await bench()
  await queue.send('a', [message('x'), message('y')])
  const [x, y] = await queue.claim('a', once)
  await clock.advance(5_000)
  assert.deepEqual(await queue.extend('a', [x!.lease], 1_000), ['extended'])
  assert.deepEqual(await queue.settle('a', [{ lease: y!.lease, kind: 'done' }]), ['settled'])
  assert.deepEqual(await queue.count('a'), {
    ready: 0,
    delayed: 0,
    waiting: 0,
    leased: 1,
    dead: 0,
    paused: false,
  })
})

test('leases of another queue, and texts that are none, are stale', async () => {
  const { queue } = await bench()
  await queue.send('a', [message('x')])
  const [x] = await queue.claim('a', once)
  assert.deepEqual(await queue.settle('b', [{ lease: x!.lease, kind: 'done' }]), ['stale'])
  assert.deepEqual(await queue.extend('a', ['', 'a/99'], 1_000), ['stale', 'stale'])
  assert.deepEqual(await queue.count('a'), {
    ready: 0,
    delayed: 0,
    waiting: 0,
    leased: 1,
    dead: 0,
    paused: false,
  })
})

test('a redriven message stands at the end, starts anew, and its fencing token still rises', async () => {
  const { queue } = await bench()
  await queue.send('a', [message('x')])
  const [x] = await queue.claim('a', once)
  await queue.settle('a', [{ lease: x!.lease, kind: 'dead-letter', reason: 'why' }])
  const [dead] = await queue.deadLetters('a', { limit: 10 })
  await queue.send('a', [message('y')])
  assert.equal(await queue.redrive('a', [dead!.handle, dead!.handle, 'no handle']), 1)
  const found = await queue.claim('a', once)
  assert.deepEqual(ids(found), ['y', 'x'])
  assert.equal(found[1]!.starts, 1)
  assert.ok(found[1]!.fencingToken > x!.fencingToken)
})

async function bury(queue: QueuePort, names: readonly string[]): Promise<void> {
  await queue.send('a', names.map(message))
  const claimed = await queue.claim('a', { ...once, limit: names.length })
  await queue.settle(
    'a',
    claimed.map(({ lease }) => ({ lease, kind: 'dead-letter', reason: 'why' })),
  )
}

test('a handle that names no dead letter redrives none', async () => {
  const { queue } = await bench()
  await bury(queue, ['x', 'y', 'z'])
  const [x, y] = await queue.deadLetters('a', { limit: 2 })
  assert.equal(await queue.redrive('a', ['0', '99', '', 'no handle']), 0)
  assert.equal(await queue.redrive('a', [x!.handle]), 1)
  const rest = await queue.deadLetters('a', { limit: 9, after: x!.handle })
  assert.deepEqual(
    rest.map(({ id }) => id),
    ['y', 'z'],
  )
  const last = await queue.deadLetters('a', { limit: 9, after: y!.handle })
  assert.deepEqual(
    last.map(({ id }) => id),
    ['z'],
  )
})

test('paging through dead letters goes on behind the handle, also when that one was redriven since', async () => {
  const { queue } = await bench()
  const names = Array.from({ length: 100 }, (_, index) => `m${index}`)
  await bury(queue, names)
  const found: string[] = []
  let after: string | undefined
  for (;;) {
    const page = await queue.deadLetters('a', { limit: 7, ...(after === undefined ? {} : { after }) })
    if (page.length === 0) break
    found.push(...page.map(({ id }) => id))
    after = page.at(-1)!.handle
    await queue.redrive(
      'a',
      page.map(({ handle }) => handle),
    )
  }
  assert.deepEqual(found, names)
  assert.equal((await queue.count('a')).dead, 0)
})

test('BACKLOG_FULL stores nothing; whatever is kept counts, dead letters too, until it is done', async () => {
  const { queue } = await bench(3)
  await queue.send('a', [message('x'), message('y')])
  const full = (error: unknown) => isSpillwayError(error, 'BACKLOG_FULL')
  await assert.rejects(queue.send('b', [message('z'), message('z')]), full)
  assert.deepEqual(await queue.count('b'), {
    ready: 0,
    delayed: 0,
    waiting: 0,
    leased: 0,
    dead: 0,
    paused: false,
  })
  await queue.send('b', [message('z')])
  const [x, y] = await queue.claim('a', once)
  await queue.settle('a', [{ lease: x!.lease, kind: 'dead-letter', reason: 'why' }])
  await assert.rejects(queue.send('a', [message('w')]), full)
  await queue.settle('a', [{ lease: y!.lease, kind: 'done' }])
  await queue.send('a', [message('w')])
})

test('a claim from a long backlog costs no more than from a short one', async () => {
  const { queue } = await bench()
  const time = async (): Promise<number> => {
    const start = performance.now()
    for (let round = 0; round < 300; round++) {
      const [found] = await queue.claim('a', { ...once, limit: 1 })
      await queue.settle('a', [{ lease: found!.lease, kind: 'release' }])
    }
    return performance.now() - start
  }
  const best = async () => Math.min(await time(), await time(), await time())
  await queue.send('a', [message('m')])
  const short = await best()
  await queue.send(
    'a',
    Array.from({ length: 200_000 }, (_, index) => message(`m${index}`)),
  )
  const long = await best()
  // A scan would cost thousands of times as much.
  assert.ok(long < 20 * short + 20, `${long} ms, ${short} ms`)
})

test('a loop of calls does not keep timers from running', async () => {
  const { queue } = await bench()
  let stopped = false
  setTimeout(() => {
    stopped = true
  }, 5)
  while (!stopped) assert.deepEqual(await queue.claim('a', once), [])
  stopped = false
  setTimeout(() => {
    stopped = true
  }, 5)
  await queue.send('a', [message('x')])
  while (!stopped) {
    const [x] = await queue.claim('a', once)
    await queue.settle('a', [{ lease: x!.lease, kind: 'release' }])
  }
})

test('options that cannot work are refused', async () => {
  const { queue } = await bench()
  const invalid = (error: unknown) => isSpillwayError(error, 'INVALID_OPTION')
  for (const limit of [0, -1, 1.5, Number.NaN])
    await assert.rejects(queue.claim('a', { ...once, limit }), invalid)
  for (const leaseMs of [0, 99, Number.NaN]) {
    await assert.rejects(queue.claim('a', { ...once, leaseMs }), invalid)
    await assert.rejects(queue.extend('a', [], leaseMs), invalid)
  }
  await assert.rejects(queue.claim('a', { ...once, waitMs: -1 }), invalid)
  await assert.rejects(queue.send('a', [{ ...message('x'), delayMs: -1 }]), invalid)
  await assert.rejects(queue.deadLetters('a', { limit: 1, after: 'no handle' }), invalid)
})
