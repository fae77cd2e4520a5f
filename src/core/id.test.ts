import { expect, test } from 'vitest'
import { newId } from './id.ts'

const clock = (...times: number[]) => ({
  now: () => times.shift() ?? 0,
  elapsed: () => 0,
  after: () => () => {},
})

test('an id is a UUID of version 7 that carries its time', () => {
  const id = newId(clock(8_000_000_000_000))
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(8_000_000_000_000)
})

test('ids sort in the order of their making, also when the clock steps back and within one millisecond', () => {
  const start = 8_100_000_000_000
  const ids = [start, start + 1, start - 5_000, start - 5_000].map((time) => newId(clock(time)))
  for (let i = 0; i < 10_000; i++) ids.push(newId(clock(start + 1)))
  expect(ids).toEqual([...ids].sort())
  expect(new Set(ids).size).toBe(ids.length)
})
