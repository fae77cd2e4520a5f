// The messages of a queue with `keyOrder`: a line for each key, of which only the head can be claimed.
import type { StoredMessage } from './stored-message.ts'

export class KeyLines {
  readonly #ends = new Map<string, StoredMessage>()

  /** At the end of the line of its key. */
  enter(message: StoredMessage): void {
    if (message.key === undefined) return
    const end = this.#ends.get(message.key)
    message.ahead = end
    if (end !== undefined) end.behind = message
    this.#ends.set(message.key, message)
  }

  /** Out of the line, wherever it stood. Returns the message that is the head by that. */
  leave(message: StoredMessage): StoredMessage | undefined {
    const { key, ahead, behind } = message
    if (behind !== undefined) behind.ahead = ahead
    if (ahead !== undefined) ahead.behind = behind
    if (key !== undefined && this.#ends.get(key) === message) {
      if (ahead === undefined) this.#ends.delete(key)
      else this.#ends.set(key, ahead)
    }
    message.ahead = undefined
    message.behind = undefined
    return ahead === undefined ? behind : undefined
  }
}
