import { expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { Deadline, deadlineIn, deadlineOf, longestDeadlineMs } from './deadline.ts'

test('what is left shrinks, and is over before it is nothing', async () => {
  const clock = fakeClock()
  const deadline = deadlineIn('2s', clock)
  expect(deadline.remainingMs).toBe(2_000)
  await clock.advance(1_995)
  expect(deadline.over).toBe(false)
  await clock.advance(1)
  expect(deadline.over).toBe(true)
  await clock.advance(10)
  expect(deadline.remainingMs).toBe(0)
  expect(deadline.header()).toBe('0')
})

test('it travels as whole milliseconds, between clocks that agree on nothing, and never grows', async () => {
  const here = fakeClock(Date.UTC(2026, 0, 1))
  const there = fakeClock(Date.UTC(1999, 0, 1))
  const deadline = new Deadline(1_234.9, here)
  const header = deadline.header()
  expect(header).toBe('1234')
  await here.advance(30)
  const received = deadlineOf(header, there)
  if (!(received instanceof Deadline)) throw new Error('it was refused')
  // Late by the 30 ms on the way, early by less than one.
  expect(received.remainingMs - deadline.remainingMs).toBeCloseTo(30 - 0.9, 6)
})

test('of two the earlier one holds', () => {
  const clock = fakeClock()
  const [short, long] = [deadlineIn('1s', clock), deadlineIn('5s', clock)]
  expect(short.earlier(long)).toBe(short)
  expect(long.earlier(short)).toBe(short)
})

test('more than an hour is not sent', () => {
  expect(deadlineIn('2h', fakeClock()).header()).toBe(String(longestDeadlineMs))
})

test.each(['0', '7', '0007', '3600000'])('the header %j is a deadline', (header) => {
  expect(deadlineOf(header, fakeClock())).toMatchObject({ remainingMs: Number(header) })
})

test.each([
  ['', 'no whole number'],
  ['soon', 'no whole number'],
  ['1.5', 'no whole number'],
  ['1e3', 'no whole number'],
  ['+5', 'no whole number'],
  [' 5', 'no whole number'],
  ['5\n', 'no whole number'],
  ['0x10', 'no whole number'],
  ['5, 6', 'no whole number'],
  ['٣', 'no whole number'],
  ['NaN', 'no whole number'],
  ['9'.repeat(400), 'no whole number'],
  ['-5', 'negative'],
  ['3600001', 'more than an hour'],
  ['9'.repeat(20), 'more than an hour'],
  [['5', '6'], '2 times'],
])('the header %j is refused', (header, reason) => {
  const refusal = deadlineOf(header, fakeClock())
  expect(refusal).toMatchObject({ refused: true, reason: 'invalid_deadline' })
  expect((refusal as { message: string }).message).toContain(reason)
  expect((refusal as { message: string }).message.length).toBeLessThan(250)
})

test('no header is no deadline', () => {
  expect(deadlineOf(undefined)).toBeUndefined()
})

test('its signal fires when it passes, with one timer', async () => {
  const clock = fakeClock()
  using bounded = deadlineIn('1s', clock).signal(new AbortController().signal)
  expect(clock.timers).toBe(1)
  await clock.advance(999)
  expect(bounded.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(bounded.ended).toBe('deadline')
  expect(bounded.signal.reason).toMatchObject({ name: 'TimeoutError' })
  expect(clock.timers).toBe(0)
})

test('its signal fires when the caller gives up, with the reason of the caller; also when it has', async () => {
  const clock = fakeClock()
  const caller = new AbortController()
  const bounded = deadlineIn('1s', clock).signal(caller.signal)
  caller.abort('of no interest any more')
  expect(bounded).toMatchObject({ ended: 'cancelled' })
  expect(bounded.signal.reason).toBe('of no interest any more')
  expect(deadlineIn('1s', clock).signal(caller.signal).signal.aborted).toBe(true)
  expect(clock.timers).toBe(0)
})

test('once released it fires no more, and holds nothing', async () => {
  const clock = fakeClock()
  const caller = new AbortController()
  const bounded = deadlineIn('1s', clock).signal(caller.signal)
  bounded.release()
  expect(clock.timers).toBe(0)
  await clock.advance('2s')
  caller.abort()
  expect(bounded.signal.aborted).toBe(false)
})
