// The stream port on Kafka: a stream is a topic. Whatever fails below becomes a SpillwayError here.
import { missing, type StreamCapabilities } from '../../ports/capability.ts'
import type * as ports from '../../ports/producer.ts'
import { checkTombstones } from '../../ports/retention.ts'
import type {
  AppendRecord,
  AppendResult,
  CommittedPosition,
  JoinOptions,
  Membership,
  PartitionBounds,
  PartitionPosition,
  ReadOptions,
  StreamPort,
  StreamRecord,
  StreamSpec,
} from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'
import { closedError, translate } from './errors.ts'
import { Groups } from './groups.ts'
import { streamNames } from './names.ts'
import { Offsets } from './offsets.ts'
import { requireAtLeast, requirePartitions, requireWhole } from './options.ts'
import { Producer } from './stream-append.ts'
import { StreamReader } from './stream-read.ts'
import type { Settings, Topics } from './topics.ts'

export interface StreamContext {
  readonly cluster: Cluster
  readonly topics: Topics
  readonly minSessionMs: number
  /** Told of every topic declared, with its settings; may refuse it by throwing. */
  declared(stream: string, replicas: number, settings: Settings): void
}

export class KafkaStream implements StreamPort {
  readonly capabilities: StreamCapabilities = {
    fencing: 'engine',
    atomicAppend: false,
    versions: false,
    producers: false,
    compaction: true,
  }
  readonly limits: { readonly maxBodyBytes: number; readonly minSessionMs: number }
  readonly #context: StreamContext
  readonly #offsets: Offsets
  readonly #producer: Producer
  readonly #reader: StreamReader
  readonly #groups: Groups
  #closed = false

  constructor(context: StreamContext) {
    this.#context = context
    this.#offsets = new Offsets(context.cluster)
    this.#producer = new Producer(context.cluster, context.topics)
    this.#reader = new StreamReader(context.cluster, this.#offsets)
    this.#groups = new Groups(context.cluster)
    this.limits = { maxBodyBytes: context.topics.maxBodyBytes, minSessionMs: context.minSessionMs }
  }

  declare(spec: StreamSpec): Promise<{ readonly partitions: number }> {
    return this.#edge(`declaring '${spec.name}'`, async () => {
      if (spec.versions) throw missing('kafka', 'stream', 'versions')
      requireWhole('partitions', spec.partitions, 1)
      const { topic, settings } = await this.#context.topics.declare(spec)
      this.#context.declared(spec.name, topic.replicas[0]?.length ?? 1, settings)
      return { partitions: topic.leaders.length }
    })
  }

  append(
    stream: string,
    records: readonly AppendRecord[],
    options?: { readonly producer?: ports.Producer | undefined },
  ): Promise<AppendResult> {
    return this.#edge(`appending to '${stream}'`, async () => {
      if (options?.producer) throw missing('kafka', 'stream', 'producers')
      checkTombstones('kafka', records)
      if (records.some((record) => record.expectedVersion !== undefined))
        throw missing('kafka', 'stream', 'versions')
      return { status: 'appended', positions: await this.#producer.append(stream, records) }
    })
  }

  read(stream: string, from: readonly PartitionPosition[], options: ReadOptions): Promise<StreamRecord[]> {
    return this.#edge(`reading '${stream}'`, () => {
      requireWhole('maxRecords', options.maxRecords, 1)
      requireAtLeast('maxBytes', options.maxBytes, 1)
      requireAtLeast('waitMs', options.waitMs, 0)
      for (const { position } of from) requireWhole('position', position, 0)
      return this.#reader.read(stream, from, options)
    })
  }

  async readKey(): Promise<StreamRecord[]> {
    throw missing('kafka', 'stream', 'versions')
  }

  bounds(stream: string): Promise<PartitionBounds[]> {
    return this.#edge(`asking for the bounds of '${stream}'`, () => this.#offsets.bounds(stream))
  }

  trim(stream: string, below: readonly PartitionPosition[]): Promise<void> {
    return this.#edge(`trimming '${stream}'`, async () => {
      await requirePartitions(this.#context.cluster, stream, below)
      for (const { position } of below) requireWhole('position', position, 0)
      await this.#offsets.trim(stream, below)
    })
  }

  positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    return this.#edge(`asking for positions of '${stream}'`, () => this.#offsets.positionsAt(stream, time))
  }

  join(stream: string, group: string, options: JoinOptions): Promise<Membership> {
    return this.#edge(`joining the group '${group}' of '${stream}'`, async () => {
      requireAtLeast('sessionMs', options.sessionMs, this.limits.minSessionMs)
      const member = await this.#groups.join(stream, group, options)
      return {
        commit: (positions) =>
          this.#edge(`committing for the group '${group}' of '${stream}'`, () => {
            for (const { position } of positions) requireWhole('position', position, 0)
            return member.commit(positions)
          }),
        leave: () => member.leave(),
      }
    })
  }

  committed(stream: string, group: string): Promise<CommittedPosition[]> {
    return this.#edge(`asking for the positions of the group '${group}' of '${stream}'`, () =>
      this.#groups.committed(stream, group),
    )
  }

  names(): Promise<string[]> {
    return this.#edge('listing the streams', () => streamNames(this.#context.cluster, this.#context.topics))
  }

  groups(stream: string): Promise<string[]> {
    return this.#edge(`listing the groups of '${stream}'`, () => this.#groups.names(stream))
  }

  /** Ends the reads, leaves the groups, sends what was accepted. */
  async close(): Promise<void> {
    this.#closed = true
    this.#reader.close()
    await this.#groups.close()
    await this.#producer.close()
    await this.#context.cluster.close()
  }

  async #edge<T>(doing: string, call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError()
    try {
      return await call()
    } catch (thrown) {
      throw translate(thrown, doing)
    }
  }
}
