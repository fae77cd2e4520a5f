// The stream as its user sees it: events are appended and kept; every consumer group reads all of them.
import { type Clock, systemClock } from '../core/clock.ts'
import type { EventContract } from '../core/contract.ts'
import { type Sealed, seal } from '../core/envelope.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkHandler, checkOptions, type OptionNames } from '../core/known-options.ts'
import { checkName } from '../core/name.ts'
import { partitionOf } from '../core/partition.ts'
import { refuseInside } from '../core/scope.ts'
import { missing } from '../ports/capability.ts'
import type { Producer } from '../ports/producer.ts'
import type { AppendRecord, PartitionPosition, StreamPort } from '../ports/stream.ts'
import { type HistoryOptions, readHistory, readKeyHistory, readTail } from './history.ts'
import {
  type EventHandler,
  failurePolicy,
  type Handled,
  type SubscribeOptions,
  subscribeOptions,
} from './plan.ts'
import { openPages, type ReadEvent } from './read-event.ts'
import { Reading } from './reading.ts'
import { checkLast, type Start } from './start.ts'
import { type DeadLetterOfStream, type DeadLetterOptions, StreamGroup } from './stream-group.ts'
import { type Subscription, subscribe } from './subscription.ts'
import { trimStream } from './trim.ts'
import { Turns } from './turns.ts'

export interface AppendOptions {
  /** Names the event for ever. Default: a new id. */
  readonly id?: string
  readonly correlationId?: string
  /** How many events its key must have before this one. Needs a stream with `versions`. */
  readonly expectedVersion?: number
  /** Who appends, and the number of this append among its own: what was stored already is not stored again. Both, or neither. */
  readonly producer?: string
  readonly sequence?: number
}

export interface AppendManyOptions {
  readonly producer?: string
  readonly sequence?: number
}

const appendManyOptions: OptionNames<AppendManyOptions> = { producer: true, sequence: true }
const appendOptions: OptionNames<AppendOptions> = {
  ...appendManyOptions,
  id: true,
  correlationId: true,
  expectedVersion: true,
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
  /** `sequence`: the last one of the producer that is stored. */
  | { readonly status: 'duplicate'; readonly sequence: number }

/** A stream of one type of event on one engine. Make it with `spillway.stream(…)`. */
export class Stream<In = unknown, Out = unknown> {
  readonly contract: EventContract<In, Out>
  readonly partitions: number
  readonly #port: StreamPort
  readonly #engine: string
  readonly #clock: Clock
  readonly #turns = new Turns()
  readonly #source: string
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
    this.#source = `/${contract.stream}`
  }

  get name(): string {
    return this.contract.stream
  }

  /**
   * Appends one event and resolves once it is durable. Events with the same key keep their order. Concurrent calls
   * share their writes. Rejects with INVALID_DATA (nothing stored), TOO_LARGE, ENGINE_UNAVAILABLE.
   *
   * An append whose outcome is unknown can be repeated when it names its `producer` and `sequence`: what was stored is a `duplicate`. Sequences
   * rise, with gaps as you like; a producer is known for seven days after its last append. Appends of one producer go one after another, and when one
   * of them rejects, so do those that were called behind it: begin again with that one. CAPABILITY_MISSING where the engine cannot.
   */
  async append(data: In, options: AppendOptions = {}): Promise<Appended> {
    refuseInside(`append() on the stream ${this.name}`)
    checkOptions('append()', options, appendOptions)
    if (options.expectedVersion !== undefined && !this.#port.capabilities.versions)
      throw missing(this.#engine, 'stream', 'versions')
    return this.#inTurn(options, (producer) => this.#append(data, options, producer))
  }

  async #append(data: In, options: AppendOptions, producer: Producer | undefined): Promise<Appended> {
    const { expectedVersion, producer: _, sequence: __, ...attributes } = options
    const sealed = await seal(this.contract, data, { source: this.#source, ...attributes }, this.#clock)
    const record = this.#place(sealed, this.#nextPartition(), expectedVersion)
    const result = await this.#port.append(this.name, [record], { producer })
    if (result.status === 'conflict') return { status: 'conflict', version: result.version }
    if (result.status === 'duplicate') return result
    return {
      status: 'appended',
      id: sealed.id,
      partition: record.partition,
      position: result.positions[0]!,
    }
  }

  #inTurn<T>(
    { producer: id, sequence }: AppendManyOptions,
    act: (producer: Producer | undefined) => Promise<T>,
  ): Promise<T> {
    if (id === undefined && sequence === undefined) return act(undefined)
    if (id === undefined || sequence === undefined)
      throw new SpillwayError(
        'INVALID_OPTION',
        'An append names its `producer` and its `sequence`, or neither.',
      )
    if (!this.#port.capabilities.producers) throw missing(this.#engine, 'stream', 'producers')
    return this.#turns.take(id, () => act({ id, sequence }))
  }

  /**
   * Appends many events in one write, in order; resolves with their positions. Every one is validated first. Those without a key
   * stay together in one partition. With a `producer` and `sequence`, as for `append`, it can be repeated; it resolves with no positions when this
   * was stored already.
   */
  async appendMany(
    items: readonly In[],
    options: AppendManyOptions = {},
  ): Promise<readonly PartitionPosition[]> {
    refuseInside(`appendMany() on the stream ${this.name}`)
    checkOptions('appendMany()', options, appendManyOptions)
    if (!Array.isArray(items))
      throw new SpillwayError(
        'INVALID_OPTION',
        `appendMany() takes a list of data, and was given ${describe(items)}.`,
      )
    return this.#inTurn(options, (producer) => this.#appendMany(items, producer))
  }

  async #appendMany(
    items: readonly In[],
    producer: Producer | undefined,
  ): Promise<readonly PartitionPosition[]> {
    const attributes = { source: this.#source }
    const keyless = this.#nextPartition()
    const records: AppendRecord[] = []
    for (const data of items) {
      const sealing = seal(this.contract, data, attributes, this.#clock)
      records.push(this.#place(sealing instanceof Promise ? await sealing : sealing, keyless))
    }
    if (records.length === 0) return []
    const result = await this.#port.append(this.name, records, { producer })
    if (result.status === 'duplicate') return []
    if (result.status === 'conflict')
      throw new SpillwayError('INTERNAL', 'An append without an expected version met a conflict.')
    return result.positions.map((position, index) => ({ partition: records[index]!.partition, position }))
  }

  /** Handles every event once per group, in order per key, until it is stopped. Members of a group share the partitions. */
  subscribe(group: string, handler: EventHandler<Out>, options: SubscribeOptions = {}): Subscription {
    checkName(group, 'consumer group')
    checkHandler(`subscribe() to ${this.name}`, handler)
    checkOptions('subscribe()', options, subscribeOptions)
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
   * Reads what is there now, in order per partition, without being a member of a group: for rebuilding a view, or for looking.
   * Ends at the end as it was when it began (of a stream that is compacted, an event is missing that a newer one of its key has replaced meanwhile, behind that end); with `follow` it goes on with what is appended. Throws at an event that cannot be
   * read. `for await` hands out the events, `pages()` as many at a time as came together.
   */
  read(options: HistoryOptions = {}): Reading<ReadEvent<Out>> {
    return new Reading(() => openPages(this.contract, readHistory(this.#port, this.name, options)))
  }

  /** The last `count` events of all partitions together, oldest first, and then what is appended, until the iteration is left. */
  tail(count: number, options: { readonly signal?: AbortSignal } = {}): Reading<ReadEvent<Out>> {
    checkLast(count)
    return new Reading(() => openPages(this.contract, readTail(this.#port, this.name, count, options.signal)))
  }

  /**
   * Removes the events before a place for good, for every group and every reader: `'latest'` leaves nothing, a `Date` what was appended
   * from then on, `{ last: n }` the last n of each partition. Positions and versions go on counting. A group that had not read
   * what goes reports EVENTS_TRIMMED. Resolves when nobody sees it any more.
   */
  async trim(before: Start): Promise<void> {
    await trimStream(this.#port, this.name, before)
  }

  /** A consumer group of this stream: its lag, its dead letters, redriving and replaying. It need not run here. */
  group(name: string): StreamGroup {
    return new StreamGroup(this.#port, this.name, name, this.#clock)
  }

  /** The events that a group could not handle, oldest first, with their reasons: as `group(name).deadLetters()`. */
  deadLetters(group: string, options: DeadLetterOptions = {}): Promise<DeadLetterOfStream[]> {
    return this.group(group).deadLetters(options)
  }

  /**
   * The events of one key, in order, from a version (1 is the first) to the last, at most `limit`. Needs a stream with `versions`.
   * The number of the last one is what `append` takes as `expectedVersion`. Throws EVENTS_TRIMMED where the first of them is not kept any
   * more, unless `partial` says to begin with what there is.
   */
  readKey(
    key: string,
    options: { readonly fromVersion?: number; readonly limit?: number; readonly partial?: boolean } = {},
  ): Reading<ReadEvent<Out>> {
    if (!this.#port.capabilities.versions) throw missing(this.#engine, 'stream', 'versions')
    const { fromVersion = 1, limit = Number.POSITIVE_INFINITY, partial = false } = options
    return new Reading(() =>
      openPages(this.contract, readKeyHistory(this.#port, this.name, key, { fromVersion, limit, partial })),
    )
  }

  #place({ key, body, tombstone }: Sealed, keyless: number, expectedVersion?: number): AppendRecord {
    const partition = key === undefined ? keyless : partitionOf(key, this.partitions)
    return { partition, key, body, expectedVersion, tombstone }
  }

  /** For what has no key: the partitions in turn. */
  #nextPartition(): number {
    return this.#next++ % this.partitions
  }
}
