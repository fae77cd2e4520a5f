import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Names, token } from './names.ts'

test('a token can stand in a subject and in the name of a NATS stream', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
      expect(token(name)).toMatch(/^[A-Za-z0-9_=-]+$/)
    }),
  )
})

test('different names have different tokens', () => {
  const unit = fc.constantFrom('a', '.', '=', '2', 'E', '_', '*', 'é')
  fc.assert(
    fc.property(fc.string({ unit, minLength: 1 }), fc.string({ unit, minLength: 1 }), (one, two) => {
      expect(token(one) === token(two)).toBe(one === two)
    }),
    { numRuns: 1_000 },
  )
})

test('a queue and a stream of the same name are apart', () => {
  const names = new Names('spillway')
  expect(names.queue('a.b').stream).toBe('spillway_q_a=2Eb')
  expect(names.stream('a.b').stream).toBe('spillway_s_a=2Eb')
})
