// The text of a key: whatever it is made of, short enough to be stored, and never equal to that of another key.
import { hash } from 'node:crypto'
import { describe, SpillwayError } from '../core/errors.ts'

/** A key that is longer, in bytes of UTF-8, is hashed. */
const longest = 64
const plain = /^[ !"$&-{}~]*$/
/** What separates and marks here, control characters, and halves of surrogate pairs, which UTF-8 cannot carry. */
const special = /[%|#\p{Cc}\p{Cs}]/gu

/**
 * The text of a key of several parts, in order: `posts|203.0.113.7`. Different parts have different texts, whatever is in
 * them: `|`, `#` and `%`, control characters and broken Unicode are written as `%` and their code. No text is longer than 64 bytes:
 * a longer one becomes `#` and its SHA-256 in base64url (44 characters), which no other text begins with.
 * Parts are compared as they are: who wants 'É' and 'é', or two forms of one in Unicode, to be one key, makes them one before.
 *
 * Undefined when a part is: a key that is not known is not everybody's. Throws INVALID_OPTION for a part that is no text: a
 * number has several notations, and `String(…)` of something else is often the same for all.
 */
export function keyText(parts: readonly string[]): string
export function keyText(parts: readonly (string | undefined)[]): string | undefined
export function keyText(parts: readonly (string | undefined)[]): string | undefined {
  let text = ''
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined) return undefined
    if (typeof part !== 'string') throw noText(part)
    text += index === 0 ? escaped(part) : `|${escaped(part)}`
  }
  if (text.length <= longest && (plain.test(text) || Buffer.byteLength(text) <= longest)) return text
  return `#${hash('sha256', text, 'base64url')}`
}

/** An empty part is `%`, which nothing else is, so that no part and one empty part are two keys. */
function escaped(part: string): string {
  if (part === '') return '%'
  return plain.test(part) ? part : part.replace(special, codeOf)
}

function codeOf(character: string): string {
  const code = character.charCodeAt(0)
  return code < 256 ? `%${code.toString(16).padStart(2, '0')}` : `%u${code.toString(16)}`
}

function noText(part: unknown): SpillwayError {
  return new SpillwayError(
    'INVALID_OPTION',
    `A part of a key is ${describe(part)}. It takes text: write the one notation of it that counts.`,
  )
}
