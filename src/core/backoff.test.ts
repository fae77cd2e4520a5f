import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoff, retryPolicy } from './backoff.ts'

test('a delay lies between nothing and the growing bound, which never exceeds the maximum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e6 }),
      fc.integer({ min: 1, max: 1e7 }),
      fc.integer({ min: 1, max: 2_000 }),
      (initial, max, attempt) => {
        const policy = retryPolicy({ initial, max })
        expect(backoff(policy, attempt, () => 0)).toBe(0)
        const longest = backoff(policy, attempt, () => 1)
        expect(longest).toBeLessThanOrEqual(max)
        expect(longest).toBe(Math.min(max, initial * 2 ** Math.min(attempt - 1, 52)))
      },
    ),
  )
})

test.each([0, -1, 1.5, Number.NaN])('%d attempts are refused', (attempts) => {
  expect(() => retryPolicy({ attempts })).toThrow('INVALID_OPTION')
})
