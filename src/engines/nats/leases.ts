// The leases that this process was given, and until when they last by its own clock.
import { newId } from '../../core/id.ts'
import { parseAckSubject } from './ack-subject.ts'
import type { Mark } from './marks.ts'
import type { QueueMessage } from './queue-message.ts'
import type { KnownQueue } from './queues.ts'

export interface Lease {
  readonly ackSubject: string
  readonly sequence: number
  readonly delivery: number
  /** Undefined for one that another process was given. */
  readonly message: QueueMessage | undefined
  /** How many deliveries before this one do not count as starts; undefined when that is not known. */
  readonly releases: number | undefined
  /** What is left to remove when the message has ended. */
  readonly mark: Mark | undefined
  /** By `performance.now()`. */
  until: number
}

export class Leases {
  /** Begins the names of leases, so that one that we gave and that has ended is known as such. */
  readonly #own = `${newId()} `
  readonly #leases = new Map<string, Lease>()
  #sweepAt = 1_000

  add(lease: Lease): string {
    this.#sweep()
    const name = this.#own + lease.ackSubject
    this.#leases.set(name, lease)
    return name
  }

  /** Undefined when it has ended, or is none of this queue. */
  find(queue: KnownQueue, name: string): Lease | undefined {
    const known = this.#leases.get(name)
    if (known === undefined && name.startsWith(this.#own)) return undefined
    const ackSubject = name.slice(name.indexOf(' ') + 1)
    const delivered = parseAckSubject(ackSubject)
    if (delivered?.stream !== queue.names.stream) return undefined
    if (known !== undefined) return known.until > performance.now() ? known : undefined
    const { sequence, delivery } = delivered
    const [message, releases, mark] = [undefined, undefined, undefined]
    return { ackSubject, sequence, delivery, message, releases, mark, until: Number.POSITIVE_INFINITY }
  }

  remove(name: string): void {
    this.#leases.delete(name)
  }

  /** Those that ended without a word are forgotten. */
  #sweep(): void {
    if (this.#leases.size < this.#sweepAt) return
    const now = performance.now()
    for (const [name, { until }] of this.#leases) if (until <= now) this.#leases.delete(name)
    this.#sweepAt = Math.max(1_000, 2 * this.#leases.size)
  }
}
