import { expect, test } from 'vitest'
import { percentile, rotated, summary } from './statistics.ts'

test('the median is the middle of the rounds, whatever their order, and one bad round does not move it', () => {
  expect(summary([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30 })
  expect(summary([30, 10, 20, 9_000])).toEqual({ median: 25, min: 10, max: 9_000 })
  expect(summary([7])).toEqual({ median: 7, min: 7, max: 7 })
})

test('figures are compared as numbers, not as text', () => {
  expect(summary([100, 9, 20]).median).toBe(20)
  expect(percentile([100, 9, 20], 0.5)).toBe(20)
})

test('a percentile is one of the values: the smallest that covers the share', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(percentile(hundred, 0.5)).toBe(50)
  expect(percentile(hundred, 0.99)).toBe(99)
  expect(percentile(hundred, 1)).toBe(100)
  expect(percentile([5], 0.99)).toBe(5)
  expect(percentile([1, 2], 0)).toBe(1)
})

test('there is no figure of nothing', () => {
  expect(() => summary([])).toThrow(RangeError)
  expect(() => percentile([], 0.5)).toThrow(RangeError)
})

test('over as many rounds as there are systems, each is once in every place', () => {
  const systems = ['a', 'b', 'c', 'd']
  const rounds = systems.map((_, round) => rotated(systems, round))
  for (const round of rounds) expect(round.toSorted()).toEqual(systems)
  for (const place of systems.keys()) expect(new Set(rounds.map((round) => round[place])).size).toBe(4)
  expect(rotated(systems, 5)).toEqual(['b', 'c', 'd', 'a'])
  expect(rotated([], 3)).toEqual([])
})
