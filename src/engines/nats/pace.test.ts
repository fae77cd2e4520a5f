// Pace: it settles on the faster way, and comes back to the other when that has become the faster one.
import { expect, test } from 'vitest'
import { Pace, type Way } from './pace.ts'

function run(pace: Pace, parts: number, cost: Readonly<Record<Way, number>>): Record<Way, number> {
  const gone = { batch: 0, each: 0 }
  for (let part = 0; part < parts; part++) {
    const { way, limit } = pace.next()
    const messages = Math.min(limit, 1_000)
    gone[way] += messages
    pace.note(way, messages, messages * cost[way])
  }
  return gone
}

test('both ways are tried with few messages, then the faster one is taken', () => {
  const syncing = run(new Pace(), 400, { batch: 0.03, each: 0.4 })
  expect(syncing.each).toBe(64)
  expect(syncing.batch).toBe(64 + 398_000)
  const lax = run(new Pace(), 400, { batch: 0.05, each: 0.01 })
  expect(lax.batch).toBe(64)
})

test('it changes over when the other way becomes the faster one', () => {
  const pace = new Pace()
  run(pace, 100, { batch: 0.03, each: 0.4 })
  run(pace, 3_000, { batch: 0.5, each: 0.01 })
  expect(pace.next().way).toBe('each')
})

test('parts of a few messages decide nothing', () => {
  const pace = new Pace()
  for (let part = 0; part < 10; part++) pace.note('batch', 3, 1_000)
  expect(pace.next()).toEqual({ way: 'batch', limit: 64 })
})
