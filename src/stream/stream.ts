// The stream as its user sees it: events are appended and kept; every consumer group reads all of them.
import { type Clock, systemClock } from '../core/clock.ts'
import type { EventContract } from '../core/contract.ts'
import { type Sealed, seal, unseal } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { partitionOf } from '../core/partition.ts'
import { refuseInside } from '../core/scope.ts'
import { missing } from '../ports/capability.ts'
import type { AppendRecord, PartitionPosition, StreamPort, StreamRecord } from '../ports/stream.ts'
import { type DeadEvent, deadStream, openDeadEvent } from './dead-events.ts'
import { type HistoryOptions, readHistory } from './history.ts'
import { type EventHandler, failurePolicy, type Handled, type SubscribeOptions } from './plan.ts'
import { type Subscription, subscribe } from './subscription.ts'

export interface AppendOptions {
  /** Names the event for ever. Default: a new id. */
  readonly id?: string
  readonly correlationId?: string
  /** How many events its key must have before this one. Needs a stream with `versions`. */
  readonly expectedVersion?: number
}

/** What became of an append with an expected version: another writer may have been first. */
export type Appended =
  | {
      readonly status: 'appended'
      readonly id: string
      readonly partition: number
      readonly position: number
    }
  | { readonly status: 'conflict'; readonly version: number }

export interface ReadEvent<Out> {
  readonly message: Message<Out>
  readonly partition: number
  readonly position: number
  readonly appendedAt: number
  readonly version: number | undefined
}

/** A stream of one type of event on one engine. Make it with `spillway.stream(…)`. */
export class Stream<In = unknown, Out = unknown> {
  readonly contract: EventContract<In, Out>
  readonly partitions: number
  readonly #port: StreamPort
  readonly #engine: string
  readonly #clock: Clock
  #next = 0

  constructor(
    contract: EventContract<In, Out>,
    partitions: number,
    port: StreamPort,
    engine: string,
    clock: Clock = systemClock,
  ) {
    this.contract = contract
    this.partitions = partitions
    this.#port = port
    this.#engine = engine
    this.#clock = clock
  }

  get name(): string {
    return this.contract.stream
  }

  /**
   * Appends one event and resolves once it is durable. Events with the same key keep their order. Concurrent calls
   * share their writes. Rejects with INVALID_DATA (nothing stored), TOO_LARGE, ENGINE_UNAVAILABLE.
   */
  async append(data: In, options: AppendOptions = {}): Promise<Appended> {
    refuseInside(`append() on the stream ${this.name}`)
    if (options.expectedVersion !== undefined && !this.#port.capabilities.versions)
      throw missing(this.#engine, 'stream', 'versions')
    const sealed = await this.#record(data, options)
    const result = await this.#port.append(this.name, [sealed.record])
    if (result.status === 'conflict') return { status: 'conflict', version: result.version }
    return {
      status: 'appended',
      id: sealed.id,
      partition: sealed.record.partition,
      position: result.positions[0]!,
    }
  }

  /** Appends many events in one write, in order; resolves with their positions. Every one is validated first. */
  async appendMany(items: readonly In[]): Promise<readonly PartitionPosition[]> {
    refuseInside(`appendMany() on the stream ${this.name}`)
    const records: AppendRecord[] = []
    for (const data of items) {
      const sealed = this.#record(data, {})
      records.push((sealed instanceof Promise ? await sealed : sealed).record)
    }
    if (records.length === 0) return []
    const result = await this.#port.append(this.name, records)
    if (result.status === 'conflict')
      throw new SpillwayError('INTERNAL', 'An append without an expected version met a conflict.')
    return result.positions.map((position, index) => ({ partition: records[index]!.partition, position }))
  }

  /** Handles every event once per group, in order per key, until it is stopped. Members of a group share the partitions. */
  subscribe(group: string, handler: EventHandler<Out>, options: SubscribeOptions = {}): Subscription {
    const handled: Handled = {
      contract: this.contract as EventContract,
      handler: handler as EventHandler<unknown>,
      policy: failurePolicy(options),
    }
    return subscribe(this.#port, {
      clock: this.#clock,
      ...options,
      stream: this.name,
      group,
      handlers: new Map([[this.contract.type, handled]]),
      strictTypes: true,
    })
  }

  /**
   * Reads what is there now, partition by partition in order, without being a member of a group: for rebuilding a
   * view, or for looking. Ends at the end as it was when it began. Throws at an event that cannot be read.
   */
  async *read(options: HistoryOptions = {}): AsyncGenerator<ReadEvent<Out>> {
    for await (const record of readHistory(this.#port, this.name, options)) yield await this.#open(record)
  }

  /** The events that a group could not handle, oldest first, with their reasons: at most `limit` (default 100) from position `from`. */
  async deadLetters(
    group: string,
    options: { readonly from?: number; readonly limit?: number } = {},
  ): Promise<(DeadEvent & { readonly deadPosition: number })[]> {
    const name = deadStream({ stream: this.name, group })
    await this.#port.declare({ name, partitions: 1 })
    const { from: position = 0, limit: maxRecords = 100 } = options
    const records = await this.#port.read(name, [{ partition: 0, position }], {
      maxRecords,
      maxBytes: 16 << 20,
      waitMs: 0,
    })
    return records.map((record) => ({ deadPosition: record.position, ...openDeadEvent(record.body) }))
  }

  /** The events of one key, in order, from a version (1 is the first). Needs a stream with `versions`. */
  async readKey(
    key: string,
    options: { readonly fromVersion?: number; readonly limit?: number } = {},
  ): Promise<ReadEvent<Out>[]> {
    if (!this.#port.capabilities.versions) throw missing(this.#engine, 'stream', 'versions')
    const { fromVersion = 1, limit = 1_000 } = options
    const records = await this.#port.readKey(this.name, key, { fromVersion, limit })
    return Promise.all(records.map((record) => this.#open(record)))
  }

  async #open(record: StreamRecord): Promise<ReadEvent<Out>> {
    const message = await unseal(this.contract, record.body)
    if (message instanceof SpillwayError) throw message
    const { partition, position, appendedAt, version } = record
    return { message, partition, position, appendedAt, version }
  }

  #record(data: In, options: AppendOptions): Keyed | Promise<Keyed> {
    const { expectedVersion, ...attributes } = options
    const sealed = seal(this.contract, data, { source: `/${this.name}`, ...attributes }, this.#clock)
    const place = ({ id, key, body }: Sealed): Keyed => {
      const partition = key === undefined ? this.#next++ % this.partitions : partitionOf(key, this.partitions)
      return { id, record: { partition, key, body, expectedVersion } }
    }
    return sealed instanceof Promise ? sealed.then(place) : place(sealed)
  }
}

interface Keyed {
  readonly id: string
  readonly record: AppendRecord
}
