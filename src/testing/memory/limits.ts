// What the in-memory engine refuses: too much, too large, and options that cannot work.
import { SpillwayError } from '../../core/errors.ts'

export const engineName = 'memory'
export const maxBodyBytes: number = 1024 * 1024

/** How many messages are kept in all, and the bound of that. */
export class Capacity {
  readonly #owner: string
  readonly #most: number
  #stored = 0

  constructor(owner: string, most: number) {
    this.#owner = owner
    this.#most = most
  }

  /** Takes room for all of them, or throws BACKLOG_FULL and takes none. */
  reserve(count: number): void {
    if (this.#stored + count > this.#most)
      throw new SpillwayError(
        'BACKLOG_FULL',
        `${this.#owner} keeps ${this.#most} messages at most; it has ${this.#stored}, and ${count} were to come.`,
        { engine: engineName, details: { stored: this.#stored, most: this.#most } },
      )
    this.#stored += count
  }

  free(count: number): void {
    this.#stored -= count
  }
}

/** Throws TOO_LARGE for the first body that is larger than `maxBodyBytes`. */
export function checkBodies(messages: readonly { readonly body: string }[]): void {
  for (const [index, { body }] of messages.entries()) {
    // A UTF-16 unit never needs more than three bytes: most bodies need not be measured.
    if (body.length * 3 <= maxBodyBytes) continue
    const bytes = Buffer.byteLength(body)
    if (bytes > maxBodyBytes)
      throw new SpillwayError(
        'TOO_LARGE',
        `Message ${index} of the call has ${bytes} bytes; the memory engine takes ${maxBodyBytes} at most.`,
        { engine: engineName, details: { index, bytes, maxBodyBytes } },
      )
  }
}

/** Throws INVALID_OPTION unless the value is a number (a whole one for counts) from `least` to `most`. */
export function checkOption(
  name: string,
  value: number,
  least: number,
  kind: 'count' | 'time',
  most: number = Number.POSITIVE_INFINITY,
): void {
  if (value >= least && value <= most && (kind === 'time' || Number.isSafeInteger(value))) return
  const what = kind === 'time' ? 'a number of milliseconds' : 'a whole number'
  const range = most === Number.POSITIVE_INFINITY ? `from ${least}` : `from ${least} to ${most}`
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes ${what} ${range}.`, {
    engine: engineName,
  })
}

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The memory engine was closed.', { engine: engineName })
}
