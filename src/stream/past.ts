// What is known of those who held a partition before: whether they died, and of which events.
import type { Began, Whence } from './group-entry.ts'
import type { Found } from './group-log.ts'

/** One death may be chance; from the second in a row on, what the dead one can have begun is suspect. */
const deathsToSuspect = 2
/** As many events as a holder can have read from its position on. */
const mostSuspects = 5_000

/** The ends of the stream's partition and of the log when the partition was taken. */
export type Ends = Readonly<Record<'stream' | 'group', number>>

export class Past {
  readonly deaths: number
  readonly #ends: Record<'stream' | 'group', number>
  readonly #began = new Map<string, Began>()
  #suspects = 0

  constructor({ deaths, began }: Pick<Found, 'deaths' | 'began'>, ends: Ends) {
    this.deaths = deaths
    this.#ends = { ...ends }
    for (const mark of began) this.#began.set(`${mark.log} ${mark.position}`, mark)
  }

  /** The marks that the next holder must know of. */
  get began(): readonly Began[] {
    return [...this.#began.values()]
  }

  /** How often a process died while this event ran alone. */
  killed(log: Whence, position: number): number {
    return this.deaths > 0 ? (this.#began.get(`${log} ${position}`)?.attempt ?? 0) : 0
  }

  isSuspect(log: Whence, position: number): boolean {
    if (this.deaths < deathsToSuspect) return false
    if (log === 'parked') return true
    if (position >= this.#ends[log]) return false
    this.#suspects += 1
    if (this.#suspects === mostSuspects) this.#ends[log] = position + 1
    return true
  }

  /** True once everything that can have been begun is finished. */
  isOver(lows: Ends): boolean {
    return this.deaths > 0 && lows.stream >= this.#ends.stream && lows.group >= this.#ends.group
  }
}

/** Nothing is held against anybody. */
export const noPast: Past = new Past({ deaths: 0, began: [] }, { stream: 0, group: 0 })
