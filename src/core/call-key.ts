// Idempotency keys of calls: what is one, and how those of a handler are made, so that they are the same whenever its message is handled again.
import { createHash } from 'node:crypto'
import { describe, SpillwayError } from './errors.ts'

/** What a key is, and a correlation id where it travels with a call. */
export const visible: RegExp = /^[\x21-\x7e]{1,200}$/

/** Throws INVALID_OPTION. */
export function checkKey(type: string, key: string): void {
  if (typeof key === 'string' && visible.test(key)) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `The key of a call of ${type} is ${describe(key)}; it takes 1 to 200 visible ASCII characters.`,
  )
}

/**
 * The keys of one run of a handler: of who it is (the context, and the type of its message), of the message's id, of the call's type, and of how many calls
 * of that type it made before. A text that names all of it where that is short and visible, else its SHA-256.
 */
export class CallKeys {
  readonly #who: string
  readonly #id: string
  readonly #made = new Map<string, number>()

  constructor(who: string, id: string) {
    this.#who = who
    this.#id = id
  }

  next(type: string): string {
    const ordinal = (this.#made.get(type) ?? 0) + 1
    this.#made.set(type, ordinal)
    // The id comes last: names have no colon, an id may have any.
    const key = `${this.#who}:${type}:${ordinal}:${this.#id}`
    return visible.test(key) ? key : `sha256:${createHash('sha256').update(key).digest('base64url')}`
  }
}
