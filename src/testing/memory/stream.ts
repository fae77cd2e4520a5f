// The stream port of the in-memory engine: finds the stream, refuses what cannot be, and leaves the rest to the log.
import { SpillwayError } from '../../core/errors.ts'
import type { StreamCapabilities } from '../../ports/capability.ts'
import { checkProducer, type Producer } from '../../ports/producer.ts'
import { checkTombstones, limitsOf } from '../../ports/retention.ts'
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
import { checkBodies, checkOption, closedError, engineName, maxBodyBytes } from './limits.ts'
import { Log } from './log.ts'
import type { GroupMember } from './member.ts'
import type { MemoryStore } from './store.ts'
import type { OpenCalls } from './waiting.ts'

const maxPartitions = 10_000

export class MemoryStream implements StreamPort {
  readonly capabilities: StreamCapabilities = {
    fencing: 'engine',
    atomicAppend: true,
    versions: true,
    producers: true,
    compaction: true,
  }
  readonly limits: StreamPort['limits'] = { maxBodyBytes, minSessionMs: 100 }
  readonly #store: MemoryStore
  readonly #calls: OpenCalls = new Set()
  readonly #members = new Set<GroupMember>()
  #closed = false

  constructor(store: MemoryStore) {
    this.#store = store
  }

  async declare({
    name,
    partitions,
    versions,
    retention,
  }: StreamSpec): Promise<{ readonly partitions: number }> {
    if (this.#closed) throw closedError()
    checkOption('partitions', partitions, 1, 'count')
    if (partitions > maxPartitions) throw invalid(`A stream has ${maxPartitions} partitions at most.`)
    if (retention !== undefined) limitsOf(engineName, this.capabilities, retention)
    const { logs, clock, capacity } = this.#store
    const known = logs.get(name)
    const log = known ?? new Log(partitions, versions ?? false, clock, capacity)
    logs.set(name, log)
    if (versions !== undefined && versions !== log.versions) {
      if (!log.empty)
        throw new SpillwayError(
          'CONFIGURATION',
          `The stream '${name}' has records ${log.versions ? 'with' : 'without'} versions; that cannot be changed any more.`,
          { engine: engineName },
        )
      log.versions = versions
    }
    if (retention !== undefined) log.retention = retention
    return { partitions: log.partitions }
  }

  async append(
    stream: string,
    records: readonly AppendRecord[],
    { producer }: { readonly producer?: Producer | undefined } = {},
  ): Promise<AppendResult> {
    const log = this.#find(stream)
    checkProducer(engineName, producer)
    checkTombstones(engineName, records)
    for (const record of records) {
      checkPartition(log, record.partition)
      if (record.expectedVersion === undefined) continue
      if (!log.versions) throw noVersions(stream)
      checkOption('expectedVersion', record.expectedVersion, 0, 'count')
      if (record.key === undefined)
        throw unkept(`A record for '${stream}' has an expectedVersion and no key.`)
    }
    checkBodies(records)
    return log.append(records, producer)
  }

  async read(
    stream: string,
    from: readonly PartitionPosition[],
    options: ReadOptions,
  ): Promise<StreamRecord[]> {
    const log = this.#find(stream)
    for (const { partition, position } of from) {
      checkPartition(log, partition)
      checkOption('position', position, Number.MIN_SAFE_INTEGER, 'count')
    }
    checkOption('maxRecords', options.maxRecords, 1, 'count')
    checkOption('maxBytes', options.maxBytes, 1, 'count')
    checkOption('waitMs', options.waitMs, 0, 'time')
    return log.read(from, options, this.#calls)
  }

  async readKey(
    stream: string,
    key: string,
    options: { readonly fromVersion: number; readonly limit: number },
  ): Promise<StreamRecord[]> {
    const log = this.#find(stream)
    if (!log.versions) throw noVersions(stream)
    checkOption('limit', options.limit, 1, 'count')
    return log.readKey(key, options.fromVersion, options.limit)
  }

  async bounds(stream: string): Promise<PartitionBounds[]> {
    return this.#find(stream).bounds()
  }

  async trim(stream: string, below: readonly PartitionPosition[]): Promise<void> {
    const log = this.#find(stream)
    for (const { partition, position } of below) {
      checkPartition(log, partition)
      checkOption('position', position, 0, 'count')
    }
    log.trim(below)
  }

  async positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    return this.#find(stream).positionsAt(time)
  }

  async join(stream: string, group: string, options: JoinOptions): Promise<Membership> {
    const log = this.#find(stream)
    checkOption('sessionMs', options.sessionMs, this.limits.minSessionMs, 'time')
    const member = log.join(group, options)
    this.#members.add(member)
    member.gone.then(() => this.#members.delete(member))
    return member
  }

  async committed(stream: string, group: string): Promise<CommittedPosition[]> {
    return this.#find(stream).committed(group)
  }

  async names(): Promise<string[]> {
    if (this.#closed) throw closedError()
    return [...this.#store.logs.keys()].sort()
  }

  async groups(stream: string): Promise<string[]> {
    return this.#find(stream).groups()
  }

  close(): void {
    this.#closed = true
    for (const call of this.#calls) call.end([])
    for (const member of this.#members) member.close()
  }

  #find(stream: string): Log {
    if (this.#closed) throw closedError()
    const log = this.#store.logs.get(stream)
    if (log !== undefined) return log
    throw new SpillwayError('UNKNOWN_STREAM', `The memory engine has no stream '${stream}'.`, {
      engine: engineName,
    })
  }
}

function checkPartition(log: Log, partition: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < log.partitions) return
  throw invalid(`There is no partition ${partition}; the stream has ${log.partitions}, counted from 0.`)
}

function noVersions(stream: string): SpillwayError {
  return unkept(
    `The stream '${stream}' was declared without \`versions\`, which expectedVersion and readKey need.`,
  )
}

function unkept(what: string): SpillwayError {
  return new SpillwayError('CONFIGURATION', what, { engine: engineName })
}

function invalid(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: engineName })
}
