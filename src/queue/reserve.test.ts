import { expect, test } from 'vitest'
import { Reserve } from './reserve.ts'

/** What is held once every handler has taken so long. */
function sizeAt(ms: number, places = 10, leaseMs = 30_000): number {
  const reserve = new Reserve(places, leaseMs)
  for (let i = 0; i < 100; i++) reserve.handled(ms)
  return reserve.size
}

test('nothing is held before a handler has ended', () => {
  expect(new Reserve(10, 30_000).size).toBe(0)
})

test.each([
  ['nothing: a thousand', 0, 1_000],
  ['1 ms: 50 ms of work', 1, 500],
  ['100 ms: one for each place', 100, 10],
  ['10 s: what begins within a third of the lease', 10_000, 10],
  ['1 min: next to nothing', 60_000, 1],
  ['5 min: nothing', 300_000, 0],
])('handlers that take %s', (_, ms, expected) => {
  expect(sizeAt(ms)).toBe(expected)
})

test('never more than a short lease lets begin', () => {
  expect(sizeAt(20, 10, 30)).toBe(5)
})

test('what did not begin in time leaves nothing held until a handler ends, and then little', () => {
  const reserve = new Reserve(10, 30_000)
  reserve.handled(1)
  reserve.stuck()
  expect(reserve.size).toBe(0)
  reserve.handled(1)
  expect(reserve.size).toBe(10)
  for (let i = 0; i < 200; i++) reserve.handled(1)
  expect(reserve.size).toBeGreaterThan(400)
})

test('it follows a change of pace within some dozens of messages', () => {
  const reserve = new Reserve(10, 30_000)
  for (let i = 0; i < 100; i++) reserve.handled(1)
  for (let i = 0; i < 100; i++) reserve.handled(1_000)
  expect(reserve.size).toBe(10)
})
