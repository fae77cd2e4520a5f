// Streams as topics: creating them, and what their settings mean for us.
import { SpillwayError } from '../../core/errors.ts'
import type { Retention } from '../../ports/retention.ts'
import type { StreamSpec } from '../../ports/stream.ts'
import { batchOverhead, recordOverhead } from './batch-writer.ts'
import type { Cluster, Topic } from './cluster.ts'
import { Fault } from './errors.ts'
import { everything, retentionSettings } from './retention.ts'

export interface TopicOptions {
  /** Copies of every partition. Default: three, or one for each broker when there are fewer. */
  readonly replicas?: number | undefined
  /** Settings for the topics that are created, by Kafka's names; `min.compaction.lag.ms` is ours. */
  readonly topicConfig?: Readonly<Record<string, string>> | undefined
}

/** Settings by name; empty when the cluster does not let us read them. */
export type Settings = ReadonlyMap<string, string>

/**
 * A setting that only speaks of compaction, and there of a minute more or less, with a value that nobody else chooses: so no
 * topic of another program is taken for a stream.
 */
export const mark = { name: 'min.compaction.lag.ms', value: '57717' } as const

/** How long the controller may take; if it takes longer we ask again. */
const createMs = 4000
const largestBatch = 1024 * 1024
/** What a request may carry at most is 100 MiB, unless the broker is told otherwise. */
const largestMessage = 50 * 1024 * 1024
/** Kafka's limit is on key and body together; ours is on bodies. */
const keyRoom = 1024
const kinds = { topic: 2, broker: 4 } as const
/** The operation on a setting that gives it a value. */
const set = 0 as const

export class Topics {
  readonly #cluster: Cluster
  readonly #options: TopicOptions
  readonly #maxMessageBytes = new Map<string, number>()
  #defaultMaxMessageBytes = 1_000_000

  constructor(cluster: Cluster, options: TopicOptions) {
    this.#cluster = cluster
    this.#options = options
  }

  get replicas(): number {
    return this.#options.replicas ?? Math.min(3, Math.max(1, this.#cluster.brokers.size))
  }

  /** How many of them must have a record before it is acknowledged: a majority. */
  get minInSync(): number {
    return Number(this.#options.topicConfig?.['min.insync.replicas'] ?? Math.floor(this.replicas / 2) + 1)
  }

  /** The broker's own limit, for topics that were not declared through this engine. */
  setDefaultLimit(settings: Settings): void {
    const bytes = Number(settings.get('message.max.bytes'))
    if (bytes > 0) this.#defaultMaxMessageBytes = bytes
  }

  /** The largest body, on any topic that does not set itself a lower limit. */
  get maxBodyBytes(): number {
    return Math.min(this.#defaultMaxMessageBytes, largestMessage) - batchOverhead - recordOverhead - keyRoom
  }

  /** The largest key and body together. */
  maxRecordBytes(stream: string): number {
    return this.#limit(stream) - batchOverhead - recordOverhead
  }

  maxBatchBytes(stream: string): number {
    return Math.min(this.#limit(stream), largestBatch)
  }

  #limit(stream: string): number {
    return this.#maxMessageBytes.get(stream) ?? this.#defaultMaxMessageBytes
  }

  /** Creates the topic unless it is there, waits until all its partitions have leaders, and reads its settings. */
  async declare(spec: StreamSpec): Promise<{ topic: Topic; settings: Settings }> {
    const topic = await this.#cluster.persist(async () => {
      const found = await this.#find(spec.name)
      if (found !== undefined) return found
      await this.#create(spec)
      return await this.#cluster.refresh(spec.name)
    })
    const complete = (it: Topic) => it.leaders.length > 0 && it.leaders.every((leader) => leader >= 0)
    const ready = complete(topic)
      ? topic
      : await this.#cluster.persist(async () => {
          const seen = await this.#cluster.refresh(spec.name)
          if (complete(seen)) return seen
          throw new Fault('LEADER_NOT_AVAILABLE', `not all partitions of ${spec.name} have a leader`)
        })
    const settings = await this.#retain(spec, await this.settings('topic', spec.name))
    const compacted = settings.get('cleanup.policy')?.includes('compact')
    if (compacted && !spec.retention?.compact && settings.get(mark.name) !== mark.value)
      throw new SpillwayError(
        'CONFIGURATION',
        `The topic '${spec.name}' has cleanup.policy=compact: Kafka deletes all but the newest record of a key, read or not. A stream needs 'delete', or to be declared as compacted.`,
        { engine: 'kafka' },
      )
    const bytes = Number(settings.get('max.message.bytes'))
    if (bytes > 0) this.#maxMessageBytes.set(spec.name, bytes)
    return { topic: ready, settings }
  }

  async #find(name: string): Promise<Topic | undefined> {
    try {
      return await this.#cluster.refresh(name)
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.id === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined
      throw thrown
    }
  }

  async #create(spec: StreamSpec): Promise<void> {
    const { client, controller } = this.#cluster
    const link = await this.#cluster.link('control', controller)
    const settings: Record<string, string> = {
      'min.insync.replicas': String(this.minInSync),
      // The time of a record is the broker's, so that times rise with positions.
      'message.timestamp.type': 'LogAppendTime',
      ...everything,
      ...this.#options.topicConfig,
      ...(spec.retention && this.#retentionOf(spec.retention, spec.partitions)),
      [mark.name]: mark.value,
    }
    const answer = await link.call(
      client.createTopicsV7.api,
      [
        {
          name: spec.name,
          numPartitions: spec.partitions,
          replicationFactor: this.replicas,
          assignments: [],
          configs: Object.entries(settings).map(([name, value]) => ({ name, value })),
        },
      ],
      createMs,
      false,
    )
    const [result] = answer.topics
    if (result === undefined || result.errorCode === 0) return
    const fault = this.#cluster.fault(result.errorCode, result.errorMessage)
    if (fault.id === 'TOPIC_ALREADY_EXISTS') return
    if (fault.id === 'NOT_CONTROLLER') await this.#cluster.discover()
    throw this.#unfitting(spec.name, fault)
  }

  /** Gives a topic that is there the retention that was asked for, unless it has it, and looks whether it has it then. */
  async #retain({ name, retention }: StreamSpec, found: Settings): Promise<Settings> {
    // A cluster that does not show us its settings will not let us change them.
    if (retention === undefined || found.size === 0) return found
    const partitions = (await this.#cluster.topic(name)).leaders.length
    const wanted = Object.entries(this.#retentionOf(retention, partitions))
    const differs = (settings: Settings) => wanted.filter(([each, value]) => settings.get(each) !== value)
    if (differs(found).length === 0) return found
    await this.#cluster.persist(async () => {
      const link = await this.#cluster.any()
      const { client } = this.#cluster
      const resource = {
        resourceType: kinds.topic,
        resourceName: name,
        configs: differs(found).map(([each, value]) => ({ name: each, configOperation: set, value })),
      }
      const { responses } = await link.call(client.incrementalAlterConfigsV1.api, [resource], false)
      const { errorCode, errorMessage } = responses[0] ?? { errorCode: 0, errorMessage: null }
      if (errorCode !== 0) throw this.#unfitting(name, this.#cluster.fault(errorCode, errorMessage))
    })
    // The broker that is asked hears of it from the controller.
    const settings = await this.#cluster.persist(async () => {
      const now = await this.settings('topic', name)
      const [left] = differs(now)
      if (left === undefined) return now
      throw new Fault('LEADER_NOT_AVAILABLE', `${name} has ${left[0]}=${now.get(left[0])}, not ${left[1]}`)
    })
    return settings
  }

  #retentionOf(retention: Retention, partitions: number): Record<string, string> {
    return retentionSettings(retention, partitions, this.#options.topicConfig)
  }

  #unfitting(name: string, fault: Fault): unknown {
    if (!unfitting.has(fault.id)) return fault
    return new SpillwayError(
      'CONFIGURATION',
      `Kafka does not take the settings of the stream '${name}': ${fault.message}.`,
      { engine: 'kafka', cause: fault },
    )
  }

  async settings(kind: 'topic' | 'broker', name: string): Promise<Settings> {
    const answer = await this.#cluster.persist(async () => {
      const link =
        kind === 'broker' ? await this.#cluster.link('control', Number(name)) : await this.#cluster.any()
      const { client } = this.#cluster
      const resource = { resourceType: kinds[kind], resourceName: name, configurationKeys: null }
      const { results } = await link.call(client.describeConfigsV4.api, [resource], false, false)
      const code = results[0]?.errorCode ?? 0
      const fault = code === 0 ? undefined : this.#cluster.fault(code)
      if (fault?.passing) throw fault
      return fault === undefined ? results : []
    })
    return readSettings(answer)
  }

  /** One setting of several topics; without those that the cluster does not let us see, unless that is all of them. */
  async settingsOf(names: readonly string[], setting: string): Promise<Map<string, string | undefined>> {
    const resources = names.map((resourceName) => ({
      resourceType: kinds.topic,
      resourceName,
      configurationKeys: [setting],
    }))
    return await this.#cluster.persist(async () => {
      const link = await this.#cluster.any()
      const { client } = this.#cluster
      const { results } = await link.call(client.describeConfigsV4.api, resources, false, false)
      const found = new Map<string, string | undefined>()
      let refused: Fault | undefined
      for (const result of results) {
        const fault = result.errorCode === 0 ? undefined : this.#cluster.fault(result.errorCode)
        if (fault === undefined) found.set(result.resourceName, readSettings([result]).get(setting))
        // One that was deleted meanwhile is missing for good.
        else if (fault.id !== 'UNKNOWN_TOPIC_OR_PARTITION') {
          if (fault.passing) throw fault
          refused = fault
        }
      }
      if (found.size === 0 && refused !== undefined) throw refused
      return found
    })
  }
}

const unfitting: ReadonlySet<string> = new Set([
  'INVALID_REPLICATION_FACTOR',
  'INVALID_PARTITIONS',
  'INVALID_CONFIG',
  'INVALID_REQUEST',
  'INVALID_TOPIC_EXCEPTION',
  'POLICY_VIOLATION',
])

interface Described {
  readonly configs: readonly { readonly name: string; readonly value?: string | null | undefined }[]
}

function readSettings(results: readonly Described[]): Settings {
  const settings = new Map<string, string>()
  for (const { configs } of results)
    for (const { name, value } of configs) if (typeof value === 'string') settings.set(name, value)
  return settings
}
