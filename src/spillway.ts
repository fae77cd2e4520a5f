// The door for those who want a queue or a stream and no contexts: open an engine, name a channel, use it.
import { type Clock, systemClock } from './core/clock.ts'
import {
  type EventOptions,
  eventOptions,
  type QueueContract,
  type QueueOptions,
  queueContract,
  requireKey,
  streamContract,
} from './core/contract.ts'
import { SpillwayError } from './core/errors.ts'
import { checkOptions, type OptionNames } from './core/known-options.ts'
import { defaultPartitions } from './core/partition.ts'
import { type Retain, retentionOf } from './core/retain.ts'
import { openEngine } from './engine-of.ts'
import { missing } from './ports/capability.ts'
import type { Durability, Engine, EngineOptions } from './ports/engine.ts'
import { Queue } from './queue/queue.ts'
import { declareQueues } from './queue/rules.ts'
import { Stream } from './stream/stream.ts'

export interface OpenOptions extends EngineOptions {
  readonly clock?: Clock
}

export interface StreamOptions<In, Out> extends EventOptions<In, Out> {
  /** How many partitions a new stream gets: the most members of a group that can share its work. Default 8. */
  readonly partitions?: number
  /** Keep versions per key: `readKey`, and `append` with `expectedVersion`. Only for a new stream. */
  readonly versions?: boolean
  /** What it keeps from now on. Left out: as it is, and a new one keeps everything. */
  readonly retain?: Retain
}

const openOptions: OptionNames<OpenOptions> = { strict: true, clock: true }
const streamOptions: OptionNames<StreamOptions<unknown, unknown>> = {
  ...eventOptions,
  partitions: true,
  versions: true,
  retain: true,
}

/** Opens an engine by its URL, or takes one that is open. See `openEngine` for the URLs and the errors. */
export async function open(engine: string | Engine, options: OpenOptions = {}): Promise<Spillway> {
  checkOptions('open()', options, openOptions)
  const { clock = systemClock, ...engineOptions } = options
  const given = typeof engine === 'object' && engine !== null
  return new Spillway(given ? engine : await openEngine(engine, engineOptions), clock)
}

/** An open engine. Close it when done; consumers and subscriptions should be stopped before. */
export class Spillway implements AsyncDisposable {
  readonly engine: Engine
  readonly #clock: Clock

  constructor(engine: Engine, clock: Clock = systemClock) {
    this.engine = engine
    this.#clock = clock
  }

  get durability(): Durability {
    return this.engine.durability
  }

  /**
   * A queue by its name, or by its contract; it is created if there is none, and has the rules of the contract from then on.
   * CAPABILITY_MISSING on an engine that has no queues, or lacks what the contract asks for.
   */
  queue<In, Out>(contract: QueueContract<In, Out>): Promise<Queue<In, Out>>
  queue<In, Out>(name: string, options: QueueOptions<In, Out>): Promise<Queue<In, Out>>
  async queue<In, Out>(
    of: string | QueueContract<In, Out>,
    options?: QueueOptions<In, Out>,
  ): Promise<Queue<In, Out>> {
    const port = this.engine.queue
    if (!port) throw missing(this.engine.name, 'queue')
    const contract = typeof of === 'string' ? queueContract(of, options!) : of
    if (contract?.kind !== 'queue')
      throw new SpillwayError(
        'INVALID_OPTION',
        `queue() takes a name with options, or the contract of a queue.`,
      )
    await declareQueues(this.engine.name, port, [contract])
    return new Queue(contract, port, this.engine.name, this.#clock)
  }

  /** A stream by its name; it is created if there is none. Its events are all of one type. */
  async stream<In, Out>(name: string, options: StreamOptions<In, Out>): Promise<Stream<In, Out>> {
    const port = this.engine.stream
    if (!port) throw missing(this.engine.name, 'stream')
    const contract = streamContract(name, options)
    checkOptions<object>(`The stream ${name}`, options, streamOptions)
    const { partitions = defaultPartitions, versions = false } = options
    if (versions && !port.capabilities.versions) throw missing(this.engine.name, 'stream', 'versions')
    requireKey(contract, options.retain)
    const retention = options.retain === undefined ? undefined : retentionOf(options.retain)
    const declared = await port.declare({ name, partitions, versions, retention })
    return new Stream(contract, declared.partitions, port, this.engine.name, this.#clock)
  }

  close(): Promise<void> {
    return this.engine.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
