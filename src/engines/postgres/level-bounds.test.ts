import { expect, test } from 'vitest'
import { LevelBounds } from './level-bounds.ts'

test('scans are full as long as they are cheap', () => {
  const bounds = new LevelBounds()
  for (let now = 0; now < 10_000; now += 100) {
    const begun = bounds.begin(now)
    expect(begun).toEqual({ levels: [], froms: [] })
    bounds.done(begun, 1.5, [{ level: 0, id: now }], now)
  }
})

test('else they begin, on each level, where all was taken a while ago, and now and then from the start', () => {
  const bounds = new LevelBounds()
  let full = 0
  let newest = 0
  for (let now = 10_000; now < 20_000; now += 100) {
    newest += 10
    const begun = bounds.begin(now)
    if (begun.levels.length === 0) full += 1
    else if (now > 14_000) {
      expect(begun.levels).toEqual([7, -3])
      expect(begun.froms[0]).toBeGreaterThan(newest - 400)
      expect(begun.froms[0]).toBeLessThanOrEqual(newest - 100)
      expect(begun.froms[1]).toBe(begun.froms[0]! + 1)
    }
    const taken = [
      { level: -3, id: newest + 1 },
      { level: 7, id: newest },
      { level: 7, id: newest - 5 },
    ]
    bounds.done(begun, begun.levels.length === 0 ? 50 : 1, taken, now)
  }
  // A full one of 50 ms every second, and those before anything was settled.
  expect(full).toBeGreaterThan(8)
  expect(full).toBeLessThan(30)
})
