// A consumer group seen from outside: how far it is, what it could not handle, and what it can be told to do.
import { type Clock, systemClock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { decode } from '../core/message.ts'
import { checkName } from '../core/name.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { ParkedEvent, ParkingPort } from '../ports/parking.ts'
import type { PartitionPosition, StreamPort } from '../ports/stream.ts'
import { type DeadEvent, deadStream, openDeadEvent } from './dead-events.ts'
import type { RedriveOrder } from './group-entry.ts'
import { GroupLog } from './group-log.ts'
import { type GroupLag, lagOf } from './lag.ts'
import { checkStart, type Start, startPositions } from './start.ts'

/** An event that a group could not handle, in its dead letters. */
export interface DeadLetterOfStream extends DeadEvent {
  /** Names it among the dead letters of its group. */
  readonly deadPosition: number
  /** Names it for ever, also where the dead letters were moved or made anew. */
  readonly letter: string
}

export interface DeadLetterOptions {
  /** A dead position. */
  readonly from?: number
  readonly limit?: number
  /** Told of what is no dead letter, with its place: others may have put it there. */
  readonly onReport?: OnReport
}

/** An event that a group has parked: with why it failed, or that it waits behind one that did. */
export interface ParkedLetter extends ParkedEvent {
  readonly partition: number
}

const page = { maxRecords: 500, maxBytes: 16 << 20, waitMs: 1_000 }
/** What one write to the group's log holds at most. */
const orderBytes = 4 << 20

/** Make it with `stream.group(name)`. It need not run in this process, nor at all: orders wait for its members. */
export class StreamGroup {
  readonly stream: string
  readonly name: string
  readonly #port: StreamPort
  readonly #maxBodyBytes: number
  readonly #log: GroupLog

  readonly #parking: ParkingPort | undefined

  constructor(
    port: StreamPort,
    stream: string,
    name: string,
    clock: Clock = systemClock,
    parking?: ParkingPort,
  ) {
    this.#parking = parking
    this.stream = stream
    this.name = checkName(name, 'consumer group')
    this.#port = port
    this.#maxBodyBytes = port.limits.maxBodyBytes
    this.#log = new GroupLog(port, { stream, group: name }, clock)
  }

  /** How far the group is behind the end of the stream. A group with a database of its own tells the engine within a second. */
  lag(): Promise<GroupLag> {
    return lagOf(this.#port, this.stream, this.name)
  }

  /**
   * The events that the group could not handle and that were not redriven, oldest first, with their reasons: at most `limit`
   * (default 100) from the dead position `from` on. What stands among them and is no dead letter is passed over; `onReport` is told of it.
   */
  async deadLetters(options: DeadLetterOptions = {}): Promise<DeadLetterOfStream[]> {
    const { from = 0, limit = 100, onReport } = options
    const found: DeadLetterOfStream[] = []
    for await (const letter of this.#dead(from, onReport)) {
      if (found.push(letter) >= limit) break
    }
    return found
  }

  /**
   * Has dead letters handled again by the group, with their ids: those at the dead positions given, or those that the function
   * chooses (of the dead letters as they are now). Resolves with how many were ordered, once that is durable. Members handle them after what they have
   * read of the same key, and never beside another event of it; the old place in the order is lost. What fails again is a new dead letter.
   * Ordered twice at the same moment it is handled once, where the group has a database.
   */
  async redrive(which: readonly number[] | ((letter: DeadLetterOfStream) => boolean)): Promise<number> {
    const chosen = typeof which === 'function' ? undefined : new Set(which)
    if (chosen?.size === 0) return 0
    const chooses =
      typeof which === 'function'
        ? which
        : ({ deadPosition }: DeadLetterOfStream) => chosen!.has(deadPosition)
    let count = 0
    let orders: RedriveOrder[] = []
    let bytes = 0
    const flush = async () => {
      await this.#log.append(...orders)
      count += orders.length
      orders = []
      bytes = 0
    }
    for await (const letter of this.#dead(chosen ? Math.min(...chosen) : 0)) {
      if (chosen && letter.deadPosition > Math.max(...chosen)) break
      if (!chooses(letter)) continue
      const order = this.#order(letter)
      orders.push(order)
      bytes += order.body?.length ?? 0
      if (orders.length >= page.maxRecords || bytes >= orderBytes) await flush()
    }
    await flush()
    return count
  }

  /**
   * Has the group handle everything from a place on again, in order per key, while others go on. Resolves once that is durable; members carry it
   * out as soon as they hear of it, or when they start. A partition that has not come to the place yet goes on as it was, and so does
   * one that a list of positions does not name.
   */
  async replay(from: Start): Promise<void> {
    checkStart(from)
    const bounds = await this.#port.bounds(this.stream)
    const starts = await startPositions(this.#port, this.stream, from, bounds)
    const named = Array.isArray(from)
      ? new Set((from as readonly PartitionPosition[]).map((of) => of.partition))
      : undefined
    const positions = starts.filter(({ partition }) => !named || named.has(partition))
    await this.#log.declare()
    await this.#log.append({ kind: 'replay', positions })
  }

  /**
   * Has the group let go of what it parked: of one key, or of everything. Resolves once that is durable. Members handle the events in
   * the order of their key, then the key goes on. One that fails again stays parked, with those behind it.
   */
  async unpark(key?: string): Promise<void> {
    await this.#log.declare()
    await this.#log.append({ kind: 'unpark', ...(key === undefined ? {} : { key }) })
  }

  /**
   * What the group has parked, by partition and position: at most `limit` (default 100). Only where the database of the service is
   * open: `running.service(billing).group(orders).parked()`.
   */
  async parked(options: { readonly key?: string; readonly limit?: number } = {}): Promise<ParkedLetter[]> {
    if (!this.#parking)
      throw new SpillwayError(
        'CONFIGURATION',
        `What ${this.name} has parked stands in the database of its service.`,
      )
    const { limit = 100, key } = options
    const found: ParkedLetter[] = []
    for (const { partition } of await this.#port.bounds(this.stream)) {
      if (found.length >= limit) break
      const of = { stream: this.stream, group: this.name, partition }
      const events = await this.#parking.list(of, { limit: limit - found.length, key })
      for (const event of events) found.push({ partition, ...event })
    }
    return found
  }

  /** Dead letters as they are now, without those that were redriven. */
  async *#dead(from: number, onReport?: OnReport): AsyncGenerator<DeadLetterOfStream> {
    const name = deadStream({ stream: this.stream, group: this.name })
    await this.#port.declare({ name, partitions: 1 })
    await this.#log.declare()
    const report = guarded(onReport)
    const { earliest, next: end } = (await this.#port.bounds(name))[0]!
    const redriven = new Set<number>()
    for await (const { entry } of this.#log.entries())
      if (entry?.kind === 'redrive' && entry.dead >= from) redriven.add(entry.dead)
    for (let position = Math.max(from, earliest); position < end; ) {
      const records = await this.#port.read(name, [{ partition: 0, position }], page)
      for (const record of records) {
        if (record.position >= end || redriven.has(record.position)) continue
        const opened = openDeadEvent(record.body)
        if (opened instanceof SpillwayError) report({ from: `${name}:${record.position}`, error: opened })
        else yield { deadPosition: record.position, letter: opened.id, ...opened.event }
      }
      // They are there, unless they were trimmed: an engine may need longer to fetch them.
      if (records.length === 0) position = Math.max(position, (await this.#port.bounds(name))[0]!.earliest)
      else position = records.at(-1)!.position + 1
    }
  }

  #order({ partition, position, deadPosition: dead, letter, key, body }: DeadLetterOfStream): RedriveOrder {
    const order = {
      kind: 'redrive' as const,
      partition,
      position,
      dead,
      letter,
      ...(key === undefined ? {} : { key }),
    }
    const whole = { ...order, body }
    // Cut when it died, or too large as an entry: it is read from its place in the stream.
    const cut = decode(body) instanceof SpillwayError && body.length >= 10_000
    if (cut || Buffer.byteLength(this.#log.seal(whole)) > this.#maxBodyBytes) return order
    return whole
  }
}
