// What a consumer group was told to do and has not done yet, seen from outside: its log says both.
import { systemClock } from '../core/clock.ts'
import { isSpillwayError } from '../core/errors.ts'
import type { StreamPort } from '../ports/stream.ts'
import type { Done, GroupEntry } from './group-entry.ts'
import { GroupLog, later } from './group-log.ts'

interface Pending {
  readonly position: number
  /** Undefined: of all. */
  readonly partitions: readonly number[] | undefined
}

/** Reads the log once, and then what was added. */
export class PendingOrders {
  readonly #port: StreamPort
  readonly #stream: string
  readonly #log: GroupLog
  #cursor = 0
  #pending: Pending[] = []
  readonly #done = new Map<number, Done>()

  constructor(port: StreamPort, of: { readonly stream: string; readonly group: string }) {
    this.#port = port
    this.#stream = of.stream
    this.#log = new GroupLog(port, of, systemClock)
  }

  /** How many orders are not done yet, for some partition. A group that nobody told anything has none. */
  async count(): Promise<number> {
    try {
      for await (const { position, entry } of this.#log.entries(this.#cursor)) {
        this.#cursor = position + 1
        if (entry) this.#take(position, entry)
      }
    } catch (thrown) {
      if (isSpillwayError(thrown, 'UNKNOWN_STREAM')) return 0
      throw thrown
    }
    if (this.#pending.length === 0) return 0
    const all = (await this.#port.bounds(this.#stream)).map(({ partition }) => partition)
    // What the log no longer holds nobody will carry out, nor what names a partition that there is not.
    const kept = await this.#log.earliest()
    this.#pending = this.#pending.filter(
      ({ position, partitions = all }) =>
        position >= kept &&
        partitions.some((partition) => all.includes(partition) && !this.#isDone(position, partition)),
    )
    return this.#pending.length
  }

  #take(position: number, entry: GroupEntry): void {
    if (entry.kind === 'redrive') this.#pending.push({ position, partitions: [entry.partition] })
    else if (entry.kind === 'replay')
      this.#pending.push({ position, partitions: entry.positions.map(({ partition }) => partition) })
    else if (entry.kind === 'unpark') this.#pending.push({ position, partitions: undefined })
    else if ('done' in entry) {
      const known = this.#done.get(entry.partition)
      this.#done.set(entry.partition, known ? later(known, entry.done) : entry.done)
    }
  }

  #isDone(position: number, partition: number): boolean {
    const done = this.#done.get(partition)
    return done !== undefined && (position < done.below || done.above.includes(position))
  }
}
