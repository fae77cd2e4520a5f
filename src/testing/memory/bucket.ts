// The bucket of starts of a queue with a `rate`. Counted in milliseconds times `count`, so that all of it is whole numbers.
import type { QueueRules } from '../../ports/queue-rules.ts'

type Rate = NonNullable<QueueRules['rate']>

export class Bucket {
  readonly rate: Rate
  #level: number
  #at: number

  /** Full at first. */
  constructor(rate: Rate, now: number) {
    this.rate = rate
    this.#level = rate.count * rate.perMs
    this.#at = now
  }

  /** How many starts are in it. */
  starts(now: number): number {
    const { count, perMs } = this.rate
    if (now > this.#at) this.#level = Math.min(this.#level + (now - this.#at) * count, count * perMs)
    this.#at = now
    return Math.floor(this.#level / perMs)
  }

  /** As many as are in it at most. */
  take(starts: number): void {
    this.#level -= starts * this.rate.perMs
  }

  /** When there is one in it, if none is taken. */
  nextAt(): number {
    const { count, perMs } = this.rate
    return this.#at + Math.max(Math.ceil((perMs - this.#level) / count), 0)
  }
}
