import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SpillwayError } from '../core/errors.ts'
import { keyText } from './key-text.ts'

test.each<[readonly string[], string]>([
  [['posts', '203.0.113.7'], 'posts|203.0.113.7'],
  [['signup', '2001:db8:1:2::/64'], 'signup|2001:db8:1:2::/64'],
  [['user', '김민준'], 'user|김민준'],
  [['a|b', 'c'], 'a%7cb|c'],
  [['a', 'b|c'], 'a|b%7cc'],
  [['100%'], '100%25'],
  [['#x'], '%23x'],
  [['line\nbreak\0'], 'line%0abreak%00'],
  [['\ud800'], '%ud800'],
  [['\udfff'], '%udfff'],
  [['😀'], '😀'],
  [[], ''],
  [[''], '%'],
  [['', ''], '%|%'],
  [['x'.repeat(64)], 'x'.repeat(64)],
  // Computed by another program.
  [['x'.repeat(65)], '#lTfF_fEgSC99WNJentWD9SwCtOME6oFNsWM61WWu1-k'],
])('%j is %s', (parts, text) => {
  expect(keyText(parts)).toBe(text)
})

/** What is likely to be taken for something else: what separates, marks and escapes, broken Unicode, and what is around the bound. */
const character = fc.constantFrom(
  ...'|%#a7Cu23',
  '\0',
  '\n',
  'é',
  'e\u0301',
  '\ud800',
  '\udc00',
  '😀',
  '\u0085',
)
const part = fc.oneof(
  fc.array(character, { maxLength: 4 }).map((characters) => characters.join('')),
  fc.array(character, { minLength: 15, maxLength: 70 }).map((characters) => characters.join('')),
)
const parts = fc.array(part, { maxLength: 3 })

test('two keys have one text just when their parts are the same, and none is long or badly formed', () => {
  const seen = new Map<string, string>()
  fc.assert(
    fc.property(parts, (each) => {
      const text = keyText(each)
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(64)
      expect(text.isWellFormed()).toBe(true)
      expect(text).not.toMatch(/\p{Cc}/u)
      if (text.startsWith('#')) expect(text).toMatch(/^#[A-Za-z0-9_-]{43}$/)
      const before = seen.get(text) ?? JSON.stringify(each)
      seen.set(text, before)
      expect(JSON.stringify(each)).toBe(before)
      // Its own text as a part is another key, hashed or not, unless nothing had to be done for it.
      expect(keyText([text]) === text).toBe(each.length === 1 && each[0] === text)
    }),
    { numRuns: 20_000 },
  )
})

test('a part that is not known is no key', () => {
  expect(keyText(['user', undefined])).toBeUndefined()
  for (const odd of [7, null, Number.NaN, {}, ['x']]) {
    expect(() => keyText(['user', odd as never])).toThrow(SpillwayError)
    expect(() => keyText(['user', odd as never])).toThrow(/It takes text/)
  }
})
