// The messages of a queue with `keyOrder`: a line for each key, of which only the head can be claimed.
import type { StoredMessage } from './stored-message.ts'

interface Line {
  first: StoredMessage
  last: StoredMessage
}

export class KeyLines {
  readonly #lines = new Map<string, Line>()

  /** At the end of the line of its key. */
  enter(message: StoredMessage): void {
    this.#insert(message, message.key === undefined ? undefined : this.#lines.get(message.key)?.last)
  }

  /**
   * Others wait for it, and one of those in its line may be who does: so it comes before those that came in their turn, and behind those that
   * came so before it, unless they wait too. A head that waits gives way.
   */
  enterFirst(message: StoredMessage): void {
    const first = message.key === undefined ? undefined : this.#lines.get(message.key)?.first
    let turn = 0
    for (let one = first; one !== undefined; one = one.behind)
      if (one.state === 'waiting') turn = Math.min(turn, one.turn)
    message.turn = turn - 1
    let ahead = first?.state === 'waiting' ? undefined : first
    for (let next = ahead?.behind; next !== undefined && next.turn <= message.turn; next = next.behind)
      ahead = next
    this.#insert(message, ahead)
  }

  /** Out of the line, wherever it stood. Returns the message that is the head by that. */
  leave(message: StoredMessage): StoredMessage | undefined {
    const { key, ahead, behind } = message
    if (behind !== undefined) behind.ahead = ahead
    if (ahead !== undefined) ahead.behind = behind
    const line = key === undefined ? undefined : this.#lines.get(key)
    if (line?.first === message && line.last === message) this.#lines.delete(key!)
    else if (line?.first === message) line.first = behind!
    else if (line?.last === message) line.last = ahead!
    message.ahead = undefined
    message.behind = undefined
    return ahead === undefined ? behind : undefined
  }

  /** Behind another one of its key; at the beginning without one. */
  #insert(message: StoredMessage, ahead: StoredMessage | undefined): void {
    const { key } = message
    if (key === undefined) return
    const line = this.#lines.get(key)
    if (line === undefined) {
      this.#lines.set(key, { first: message, last: message })
      return
    }
    const behind = ahead === undefined ? line.first : ahead.behind
    message.ahead = ahead
    message.behind = behind
    if (ahead === undefined) line.first = message
    else ahead.behind = message
    if (behind === undefined) line.last = message
    else behind.ahead = message
  }
}
