import { expect, test } from 'vitest'
import { type Duration, milliseconds } from './duration.ts'

test.each([
  [250, 250],
  ['250ms', 250],
  ['2s', 2_000],
  ['1.5m', 90_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
])('%s is %d ms', (duration, expected) => {
  expect(milliseconds(duration as Duration, 'lease')).toBe(expected)
})

test.each([
  '2 s',
  '',
  '-1s',
  'soon',
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1e18,
  '36501d',
  -1,
  null,
  undefined,
])('%s is refused by the name of its option', (duration) => {
  expect(() => milliseconds(duration as Duration, 'lease')).toThrow(/lease is .*INVALID_OPTION/s)
})
