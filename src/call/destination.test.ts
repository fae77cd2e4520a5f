import { expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { deadlineIn } from './deadline.ts'
import { Destination, type DestinationOptions } from './destination.ts'

function destination(options: DestinationOptions = {}) {
  const clock = fakeClock()
  return { clock, subject: new Destination(options, clock, () => 0.999) }
}

/** Work that ends when it is told to, and counts how often it was begun. */
function work() {
  const begun: {
    readonly signal: AbortSignal | undefined
    readonly end: (value: string) => void
    readonly fail: (reason: Error) => void
  }[] = []
  const run = (signal: AbortSignal | undefined) =>
    new Promise<string>((resolve, reject) => begun.push({ signal, end: resolve, fail: reject }))
  return { begun, run }
}

test('an answer comes through, and its place is given back', async () => {
  const { subject, clock } = destination()
  expect(await subject.attempt(async () => 'done')).toEqual({ refused: false, answered: true, value: 'done' })
  const deadline = deadlineIn('1s', clock)
  expect(await subject.attempt(async () => 'done', { deadline })).toMatchObject({ value: 'done' })
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 2, failed: 0 })
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(clock.timers).toBe(0)
})

test('what is thrown is a failure, is thrown on, and opens the breaker', async () => {
  const { subject, clock } = destination({ breaker: { minimumCalls: 3 } })
  const dead = async (): Promise<string> => {
    throw new Error('connection refused')
  }
  const sooner = () => ({ deadline: deadlineIn('1s', clock) })
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
    for (const deadline of [undefined, deadlineIn('1s', clock)])
      expect(await subject.attempt(async () => status, { judge, deadline })).toMatchObject({ value: status })
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 4, failed: 2 })
})

test('a judge that throws costs no place', async () => {
  const { subject, clock } = destination()
  const judge = () => {
    throw new Error('unjust')
  }
  for (const deadline of [undefined, deadlineIn('1s', clock)])
    await expect(subject.attempt(async () => 1, { judge, deadline })).rejects.toThrow('unjust')
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 2, failed: 2 })
})

test('at its deadline an attempt ends at once, as a failure; its place is given back when the work has ended', async () => {
  const { subject, clock } = destination()
  const { begun, run } = work()
  const attempt = subject.attempt(run, { deadline: deadlineIn('1s', clock) })
  await clock.advance(1_000)
  expect(await attempt).toEqual({ refused: false, answered: false, because: 'deadline' })
  expect(begun[0]?.signal?.aborted).toBe(true)
  expect(subject.breaker.snapshot()).toMatchObject({ calls: 1, failed: 1 })
  expect(subject.bulkhead.snapshot().underWay).toBe(1)
  begun[0]?.fail(new Error('aborted'))
  await clock.advance(0)
  expect(subject.bulkhead.snapshot().underWay).toBe(0)
  expect(subject.breaker.snapshot().calls).toBe(1)
})

test.each(['with', 'without'])(
  'a caller that gives up says nothing of the destination, %s a deadline',
  async (how) => {
    const { subject, clock } = destination()
    const { begun, run } = work()
    const caller = new AbortController()
    const deadline = how === 'with' ? deadlineIn('1s', clock) : undefined
    const attempt = subject.attempt(run, { deadline, signal: caller.signal })
    await clock.advance(0)
    caller.abort()
    expect(await attempt).toEqual({ refused: false, answered: false, because: 'cancelled' })
    begun[0]?.end('late')
    await clock.advance(0)
    expect(subject.breaker.snapshot().calls).toBe(0)
    expect(subject.bulkhead.snapshot().underWay).toBe(0)
    expect(await subject.attempt(run, { signal: caller.signal })).toEqual({
      refused: true,
      reason: 'cancelled',
    })
    expect(begun).toHaveLength(1)
    expect(clock.timers).toBe(0)
  },
)

test('with too little time left nothing is begun', async () => {
  const { subject, clock } = destination()
  const { begun, run } = work()
  expect(await subject.attempt(run, { deadline: deadlineIn(4, clock) })).toEqual({
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
  const waiting = subject.attempt(run, { deadline: deadlineIn(105, clock) })
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
