import fc from 'fast-check'
import { expect, test } from 'vitest'
import { turn } from './turn.ts'

test('nearly straight turns of whole numbers have the right sign, however large they are', () => {
  const large = fc.integer({ min: 1, max: 2 ** 46 })
  const small = fc.integer({ min: -2, max: 2 })
  fc.assert(
    fc.property(large, large, fc.integer({ min: 1, max: 60 }), small, small, (x, y, times, dx, dy) => {
      const [bx, by] = [x * times + dx, y * times + dy]
      const exact = BigInt(x) * BigInt(by) - BigInt(y) * BigInt(bx)
      expect(Math.sign(turn(x, y, bx, by))).toBe(exact === 0n ? 0 : exact > 0n ? 1 : -1)
    }),
    { numRuns: 2_000 },
  )
})

test('of real numbers what rounding could have made is straight', () => {
  expect(turn(0.1, 0.3, 0.2, 0.6)).toBe(0)
  expect(Math.sign(turn(0.1, 0.3, 0.2, 0.7))).toBe(1)
  expect(Math.sign(turn(0.1, 0.3, 0.2, 0.5))).toBe(-1)
})
