// The bytes of a text are those of UTF-8, on both sides of the limit.
import { expect, test } from 'vitest'
import { bytesAbove } from './byte-length.ts'

test.each(['a', 'é', '€', '🜁', '\ud800'])('%j', (character) => {
  const text = character.repeat(100)
  const bytes = Buffer.byteLength(text)
  expect(bytesAbove(text, bytes)).toBeUndefined()
  expect(bytesAbove(text, bytes - 1)).toBe(bytes)
  expect(bytesAbove(text, 3 * text.length)).toBeUndefined()
  expect(bytesAbove('', 0)).toBeUndefined()
})
