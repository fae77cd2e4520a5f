import { expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { Destination, type DestinationOptions } from './destination.ts'

function destination(options: DestinationOptions = {}) {
  const clock = fakeClock()
  return { clock, subject: new Destination(options, clock, () => 0.999) }
}

/** Work that ends when it is told to, and counts how often it was begun. */
function work() {
  const begun: { readonly end: (value: string) => void; readonly fail: (reason: Error) => void }[] = []
  const run = () => new Promise<string>((resolve, reject) => begun.push({ end: resolve, fail: reject }))
  return { begun, run }
}

test('an answer comes through, and its place is given back', async () => {
  const { subject, clock } = destination()
  expect(await subject.attempt(async () => 'done')).toEqual({ refused: false, value: 'done' })
  const endsMs = clock.elapsed() + 1_000
  expect(await subject.attempt(async () => 'done', { endsMs })).toMatchObject({ value: 'done' })
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 2, failed: 0 })
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(clock.timers).toBe(0)
})

test('what is thrown is a failure, is thrown on, and opens the breaker', async () => {
  const { subject, clock } = destination({ breaker: { minimumCalls: 3 } })
  const dead = async (): Promise<string> => {
    throw new Error('connection refused')
  }
  const sooner = () => ({ endsMs: clock.elapsed() + 1_000 })
  await expect(subject.attempt(dead)).rejects.toThrow('connection refused')
  await expect(subject.attempt(dead, sooner())).rejects.toThrow('connection refused')
  const atOnce = () => {
    throw new Error('not even begun')
  }
  await expect(subject.attempt(atOnce, sooner())).rejects.toThrow('not even begun')
  const { begun, run } = work()
  expect(await subject.attempt(run)).toEqual({
    refused: true,
    reason: 'breaker_open',
    retryAfterMs: 1_000,
    forced: false,
  })
  expect(begun).toHaveLength(0)
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(clock.timers).toBe(0)
})

test('a value may say that the destination failed, and is given all the same', async () => {
  const { subject, clock } = destination()
  const judge = (status: number) => (status >= 500 ? 'failed' : 'succeeded')
  for (const status of [503, 404])
    for (const endsMs of [undefined, clock.elapsed() + 1_000])
      expect(await subject.attempt(async () => status, { judge, endsMs })).toMatchObject({ value: status })
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 4, failed: 2 })
})

test('a judge that throws costs no place', async () => {
  const { subject, clock } = destination()
  const judge = () => {
    throw new Error('unjust')
  }
  for (const endsMs of [undefined, clock.elapsed() + 1_000])
    await expect(subject.attempt(async () => 1, { judge, endsMs })).rejects.toThrow('unjust')
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 2, failed: 2 })
})

test('a caller that gave up says nothing of the destination, and begins nothing more', async () => {
  const { subject } = destination()
  const { begun, run } = work()
  const caller = new AbortController()
  const given = { signal: caller.signal, judge: () => 'cancelled' as const }
  const attempt = subject.attempt(run, given)
  caller.abort()
  begun[0]?.end('given up')
  expect(await attempt).toEqual({ refused: false, value: 'given up' })
  expect(subject.breaker.snapshot().calls).toBe(0)
  expect(await subject.attempt(run, given)).toEqual({ refused: true, reason: 'cancelled' })
  expect(begun).toHaveLength(1)
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
})

test('with too little time left nothing is begun', async () => {
  const { subject, clock } = destination()
  const { begun, run } = work()
  expect(await subject.attempt(run, { endsMs: clock.elapsed() + 4 })).toEqual({
    refused: true,
    reason: 'deadline',
  })
  expect(begun).toHaveLength(0)
})

test('who waits for a place is told by an open breaker, before the line and after it', async () => {
  const { subject, clock } = destination({ bulkhead: { concurrency: 1 }, breaker: { minimumCalls: 1 } })
  const { begun, run } = work()
  const first = subject.attempt(run)
  const second = subject.attempt(run)
  begun[0]?.fail(new Error('away'))
  await expect(first).rejects.toThrow('away')
  expect(await second).toMatchObject({ refused: true, reason: 'breaker_open' })
  expect(subject.bulkhead.snapshot().underWay).toBe(0)

  subject.breaker.force('closed')
  void subject.attempt(run)
  subject.breaker.force('open')
  expect(await subject.attempt(run)).toMatchObject({ refused: true, reason: 'breaker_open', forced: true })
  expect(begun).toHaveLength(2)
  expect(clock.timers).toBe(0)
})

test('nobody waits for a place longer than an answer could be of use', async () => {
  const { subject, clock } = destination({ bulkhead: { concurrency: 1 } })
  const { begun, run } = work()
  void subject.attempt(run)
  const waiting = subject.attempt(run, { endsMs: clock.elapsed() + 105 })
  await clock.advance(100)
  expect(await waiting).toEqual({ refused: true, reason: 'bulkhead_full', because: 'wait' })
  expect(begun).toHaveLength(1)
})

test('who gives up in the moment in which it is given a place gives it on', async () => {
  const { subject, clock } = destination({ bulkhead: { concurrency: 1 } })
  const { begun, run } = work()
  expect(subject.bulkhead.tryEnter()).toBe(true)
  const caller = new AbortController()
  const waiting = subject.attempt(run, { signal: caller.signal })
  subject.bulkhead.leave()
  expect(subject.bulkhead.snapshot()).toMatchObject({ underWay: 1, waiting: 0 })
  caller.abort()
  expect(await waiting).toMatchObject({ refused: true, reason: 'cancelled' })
  expect(begun).toHaveLength(0)
  expect(subject.bulkhead.snapshot()).toMatchObject({ underWay: 0, waiting: 0 })
  expect(clock.timers).toBe(0)
})
