import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { shares } from './shares.ts'

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

test('shares are even and give out every partition', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.array(fc.nat(64), { minLength: 1, maxLength: 12 }),
      (count, kept) => {
        const found = shares(
          count,
          kept.map((n) => ({ kept: n, late: false })),
        )
        assert.equal(sum(found), count)
        assert.ok(Math.max(...found) - Math.min(...found) <= 1, `${found}`)
      },
    ),
  )
})

test('no even division moves fewer partitions', () => {
  // Every choice of who gets the larger shares, tried.
  fc.assert(
    fc.property(fc.array(fc.nat(6), { minLength: 1, maxLength: 6 }), fc.nat(6), (kept, free) => {
      const count = sum(kept) + free
      const moved = (quota: readonly number[]) => sum(kept.map((n, index) => Math.max(n - quota[index]!, 0)))
      const found = shares(
        count,
        kept.map((n) => ({ kept: n, late: false })),
      )
      const base = Math.floor(count / kept.length)
      const larger = count % kept.length
      let least = Number.POSITIVE_INFINITY
      for (let choice = 0; choice < 2 ** kept.length; choice++) {
        const quota = kept.map((_, index) => base + ((choice >> index) & 1))
        if (sum(quota) === count) least = Math.min(least, moved(quota))
      }
      assert.ok(larger >= 0 && least < Number.POSITIVE_INFINITY)
      assert.equal(moved(found), least)
    }),
  )
})

test('a late member keeps an even share of what it has and gets no more; the others take the rest', () => {
  assert.deepEqual(
    shares(6, [
      { kept: 1, late: true },
      { kept: 2, late: false },
      { kept: 0, late: false },
    ]),
    [1, 3, 2],
  )
  assert.deepEqual(
    shares(4, [
      { kept: 4, late: true },
      { kept: 0, late: false },
    ]),
    [2, 2],
  )
  assert.deepEqual(shares(4, [{ kept: 1, late: true }]), [1])
  assert.deepEqual(shares(4, []), [])
})
