// The finished messages of one queue, as far as it keeps them.
import type { Clock } from '../../core/clock.ts'
import type { FinishedMessage, PeekOptions } from '../../ports/queue-control.ts'
import type { QueueRules } from '../../ports/queue-rules.ts'
import { Numbered } from './numbered.ts'
import type { StoredMessage } from './stored-message.ts'

interface Kept {
  readonly message: StoredMessage
  readonly finishedAt: number
}

const atOnce = 1_000

export class Finished {
  readonly #clock: Clock
  readonly #kept = new Numbered<Kept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(message: StoredMessage): void {
    this.#kept.add({ message, finishedAt: this.#clock.now() })
  }

  /** The newest first. */
  page({ limit, after }: PeekOptions, rule: QueueRules['finished']): FinishedMessage[] {
    const since = this.#clock.now() - (rule?.forMs ?? Number.POSITIVE_INFINITY)
    return this.#kept
      .page(0, this.#kept.size)
      .filter(
        ({ number, item }) => (after === undefined || number < Number(after)) && item.finishedAt > since,
      )
      .slice(-limit)
      .reverse()
      .map(({ number, item: { message, finishedAt } }) => {
        const { id, key, body, starts } = message
        return { handle: String(number), id, key, body, starts, finishedAt }
      })
  }

  /** Removes the oldest of those that need not be kept, and returns them. */
  trim(rule: QueueRules['finished']): StoredMessage[] {
    const over = this.#kept.size - (rule === undefined ? 0 : (rule.count ?? Number.POSITIVE_INFINITY))
    const before = this.#clock.now() - (rule?.forMs ?? Number.POSITIVE_INFINITY)
    const removed = this.#kept
      .page(0, atOnce)
      .filter(({ item }, index) => index < over || item.finishedAt <= before)
    for (const { number } of removed) this.#kept.take(number)
    return removed.map(({ item }) => item.message)
  }
}
