import { expect, test, vi } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { Breaker, type Permit } from './breaker.ts'
import { type BreakerOptions, breakerRules, reasonToOpen } from './breaker-rules.ts'

function breaker(options: BreakerOptions = {}) {
  const clock = fakeClock()
  return { clock, breaker: new Breaker(options, { clock, random: () => 0.999 }) }
}

function permit(of: Breaker): Permit {
  const permit = of.acquire()
  if (permit.refused) throw new Error('it was refused')
  return permit
}

function fail(of: Breaker, times: number): void {
  for (let time = 0; time < times; time++) permit(of).failed(1)
}

test('a dead destination is found out by ten calls, and left alone for about a second', async () => {
  const { breaker: subject, clock } = breaker()
  fail(subject, 9)
  expect(subject.state).toBe('closed')
  fail(subject, 1)
  expect(subject.acquire()).toEqual({
    refused: true,
    reason: 'breaker_open',
    retryAfterMs: 1_000,
    forced: false,
  })
  await clock.advance(1_000)
  expect(subject.state).toBe('open')
  expect(subject.refusal()).toBeUndefined()
  const trials = [permit(subject), permit(subject), permit(subject)]
  expect(subject.acquire()).toMatchObject({ refused: true })
  for (const trial of trials) trial.succeeded(1)
  expect(subject.snapshot()).toMatchObject({ state: 'closed', calls: 0, refused: 2 })
})

test('what fails again and again is asked less and less often, and twice a minute at least', async () => {
  const { breaker: subject, clock } = breaker()
  fail(subject, 10)
  const waits: number[] = []
  for (let opening = 0; opening < 8; opening++) {
    waits.push(subject.snapshot().retryAfterMs)
    await clock.advance(waits.at(-1)!)
    fail(subject, 1)
  }
  expect(waits).toEqual([1_000, 1_999, 3_998, 7_996, 15_992, 29_985, 29_985, 29_985])
})

test('it says why it is in its state', async () => {
  const { breaker: subject, clock } = breaker({ slowCall: '1s' })
  expect(subject.snapshot().because).toBeUndefined()
  for (let call = 0; call < 10; call++) permit(subject).succeeded(1_000)
  expect(subject.snapshot()).toMatchObject({ state: 'open', because: 'slow calls', calls: 10, slow: 10 })
  await clock.advance('1s')
  permit(subject).failed(1)
  expect(subject.snapshot()).toMatchObject({ state: 'open', because: 'a trial failed' })
  subject.force('closed')
  expect(subject.snapshot()).toMatchObject({ state: 'closed', because: 'forced' })
})

test('a call that does not say how long it took is measured', async () => {
  const { breaker: subject, clock } = breaker({ slowCall: '1s', minimumCalls: 2 })
  const [quick, slow] = [permit(subject), permit(subject)]
  await clock.advance(999)
  quick.succeeded()
  await clock.advance(1)
  slow.succeeded()
  expect(subject.snapshot()).toMatchObject({ calls: 2, slow: 1 })
})

test('who waits is told when a call may be tried, by one timer for all', async () => {
  const { breaker: subject, clock } = breaker()
  await subject.whenAllowed()
  fail(subject, 10)
  let allowed = 0
  for (let waiter = 0; waiter < 5; waiter++) void subject.whenAllowed().then(() => allowed++)
  await clock.advance(0)
  expect(clock.timers).toBe(1)
  await clock.advance(999)
  expect(allowed).toBe(0)
  await clock.advance(1)
  expect(allowed).toBe(5)
  expect(clock.timers).toBe(0)
})

test('who waits behind trials is told when one gives its place back, and when one never ends', async () => {
  const { breaker: subject, clock } = breaker({ trials: 1 })
  fail(subject, 10)
  await clock.advance(1_000)
  const trial = permit(subject)
  const allowed = vi.fn()
  void subject.whenAllowed().then(allowed)
  await clock.advance(10_000)
  expect(allowed).not.toHaveBeenCalled()
  trial.cancelled()
  await clock.advance(0)
  expect(allowed).toHaveBeenCalledTimes(1)

  permit(subject)
  void subject.whenAllowed().then(allowed)
  // The trial has a minute; then it is open for two seconds.
  await clock.advance(60_000)
  expect(subject.state).toBe('open')
  expect(allowed).toHaveBeenCalledTimes(1)
  await clock.advance(2_000)
  expect(allowed).toHaveBeenCalledTimes(2)
})

test('who waits for what is forced open has no timer, and is told when it is given back', async () => {
  const { breaker: subject, clock } = breaker()
  subject.force('open')
  const allowed = vi.fn()
  void subject.whenAllowed().then(allowed)
  await clock.advance('1h')
  expect(clock.timers).toBe(0)
  expect(allowed).not.toHaveBeenCalled()
  subject.force('auto')
  await clock.advance(0)
  expect(allowed).toHaveBeenCalledTimes(1)
  expect(subject.state).toBe('half-open')
})

test('a wait ends by its signal, and leaves nothing behind', async () => {
  const { breaker: subject, clock } = breaker()
  fail(subject, 10)
  const ending = new AbortController()
  const waiting = subject.whenAllowed(ending.signal)
  ending.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(subject.whenAllowed(ending.signal)).rejects.toMatchObject({ code: 'ABORTED' })
  expect(clock.timers).toBe(0)
})

test('seven of a hundred are exactly seven per cent', () => {
  const rules = breakerRules({ failureRate: 0.07 })
  expect(reasonToOpen(rules, { calls: 100, failed: 7, slow: 0 })).toBe('failures')
  expect(reasonToOpen(rules, { calls: 100, failed: 6, slow: 0 })).toBeUndefined()
})

test.each([
  [{ window: 9 }, 'breaker.window'],
  [{ minimumCalls: 0 }, 'breaker.minimumCalls'],
  [{ failureRate: 0 }, 'breaker.failureRate'],
  [{ failureRate: Number.NaN }, 'breaker.failureRate'],
  [{ slowRate: 1.1 }, 'breaker.slowRate'],
  [{ slowCall: 0 }, 'breaker.slowCall'],
  [{ openFor: '-1s' }, 'breaker.openFor'],
  [{ openFor: '2s', openForMax: '1s' }, 'breaker.openForMax'],
  [{ trials: 1.5 }, 'breaker.trials'],
  [{ trialTimeout: 0 }, 'breaker.trialTimeout'],
  [{ windows: '10s' }, 'windows'],
])('%o cannot work', (options, name) => {
  expect(() => new Breaker(options as BreakerOptions)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(name) }),
  )
})
