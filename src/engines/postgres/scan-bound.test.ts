import { expect, test } from 'vitest'
import { ScanBound } from './scan-bound.ts'

test('scans begin where all was taken a while ago, and now and then from the start', () => {
  const bound = new ScanBound()
  let now = 10_000
  const starts: number[] = []
  let newest = 0
  // 1,000 ids a second, scanned every 100 ms; a full scan takes 50 ms, so that one is made every second at most.
  for (let scan = 0; scan < 100; scan++) {
    now += 100
    newest += 100
    const from = bound.begin(now)
    starts.push(from)
    expect(from).toBeLessThanOrEqual(Math.max(newest - 1_000, 0))
    bound.done(from, from === 0 ? 50 : 1, newest, now)
  }
  const late = starts.slice(40)
  expect(late.filter((from) => from === 0)).toHaveLength(6)
  expect(Math.min(...late.filter((from) => from > 0))).toBeGreaterThan(newest - 6_000 - 3_500)
})

test('a full scan that is demanded is the next one', () => {
  const bound = new ScanBound()
  for (const now of [0, 2_000, 4_000]) bound.done(0, 500, now + 1, now)
  expect(bound.begin(4_010)).toBeGreaterThan(0)
  bound.demand()
  expect(bound.begin(4_011)).toBe(0)
})

test('cheap full scans are made nearly always', () => {
  const bound = new ScanBound()
  for (let now = 0; now < 1_000; now += 10) {
    expect(bound.begin(now)).toBe(0)
    bound.done(0, 0.4, now, now)
  }
})
