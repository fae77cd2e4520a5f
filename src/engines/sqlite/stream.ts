// The stream port of the embedded engine. Appends of one turn to one stream are merged into one operation.

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
import { maxBodyBytes, sizeOf } from './limits.ts'
import { SqliteMembership } from './membership.ts'
import { checkMs, checkWhole } from './range.ts'
import { RecordReader, tombstoneId } from './record.ts'
import { closedError, type Pending, type Storage } from './storage.ts'
import { WaitingRoom } from './waiting-room.ts'
import type { MemberNotice, StreamFacts, StreamPart, WriteOperation } from './wire.ts'

type Append = Extract<WriteOperation, { kind: 'append' }>

const minSessionMs = 1000

interface Channel extends StreamFacts {
  readonly name: string
  readonly room: WaitingRoom
  readonly open: { turn: number; append: Pending<Append> | undefined }
}

export class SqliteStream implements StreamPort {
  readonly capabilities: StreamCapabilities = {
    fencing: 'engine',
    atomicAppend: true,
    versions: true,
    producers: true,
    compaction: true,
  }
  readonly limits: StreamPort['limits'] = { maxBodyBytes, minSessionMs }
  readonly #storage: Storage
  readonly #channels = new Map<string, Channel>()
  readonly #byId = new Map<number, Channel>()
  readonly #members = new Map<number, SqliteMembership>()
  #nextMember = 1
  readonly #reader = new RecordReader()
  #closed = false

  constructor(storage: Storage) {
    this.#storage = storage
  }

  async declare({
    name,
    partitions,
    versions,
    retention,
  }: StreamSpec): Promise<{ readonly partitions: number }> {
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > 10_000)
      throw new SpillwayError(
        'INVALID_OPTION',
        `A stream cannot have ${partitions} partitions; it takes a whole number from 1 to 10,000.`,
      )
    const facts = await this.#storage.ask({
      kind: 'declareStream',
      name,
      partitions,
      versions: versions ?? null,
      limits: retention === undefined ? null : limitsOf('sqlite', this.capabilities, retention),
    })
    this.#add(name, facts)
    return { partitions: facts.partitions }
  }

  async append(
    stream: string,
    records: readonly AppendRecord[],
    { producer }: { readonly producer?: Producer | undefined } = {},
  ): Promise<AppendResult> {
    checkProducer('sqlite', producer)
    checkTombstones('sqlite', records)
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    if (records.length === 0) return { status: 'appended', positions: [] }
    let bytes = 0
    for (const record of records) {
      check(record, channel)
      bytes += sizeOf('', record.key, record.body)
    }
    const room = this.#storage.admit(bytes)
    if (room !== undefined) await room
    return channel.versions
      ? this.#appendVersions(channel, records, bytes, producer)
      : this.#append(channel, records, bytes, producer)
  }

  async #append(
    channel: Channel,
    records: readonly AppendRecord[],
    bytes: number,
    producer: Producer | undefined,
  ): Promise<AppendResult> {
    // What may turn out to be a duplicate cannot share an operation.
    const pending = producer ? this.#storage.begin(appendTo(channel, producer)) : this.#merge(channel)
    pending.bytes += bytes
    const { order, runs } = this.#write(channel, pending, pending.operation, records)
    const firsts = await pending.answer
    if ('sequence' in firsts) return { status: 'duplicate', sequence: firsts.sequence }
    const positions = new Array<number>(records.length)
    let next = 0
    for (let i = 0; i < runs.length; i += 3) {
      const position = firsts[runs[i]!]! + runs[i + 1]!
      for (let j = 0; j < runs[i + 2]!; j++, next++)
        positions[order === undefined ? next : order[next]!] = position + j
    }
    return { status: 'appended', positions }
  }

  async #appendVersions(
    channel: Channel,
    records: readonly AppendRecord[],
    bytes: number,
    producer: Producer | undefined,
  ): Promise<AppendResult> {
    const pending = this.#storage.begin({
      kind: 'appendVersions' as const,
      producer: producer ?? null,
      stream: channel.id,
      spans: [],
      partitions: [],
      records: records.map(
        ({ partition, key, expectedVersion }) => [partition, key ?? null, expectedVersion ?? null] as const,
      ),
    })
    pending.bytes += bytes
    this.#write(channel, pending, pending.operation, records)
    const answer = await pending.answer
    if ('sequence' in answer) return { status: 'duplicate', sequence: answer.sequence }
    if ('positions' in answer) return { status: 'appended', positions: answer.positions }
    return { status: 'conflict', index: answer.index, version: answer.version }
  }

  /**
   * Writes the records partition by partition. `order`: in which order, if not in that of the call. `runs`: triples of a
   * span, how many records of others stand in it before these, and how many these are.
   */
  #write(
    channel: Channel,
    { held }: Pending<Append> | Pending<Extract<WriteOperation, { kind: 'appendVersions' }>>,
    { spans, partitions }: { readonly spans: number[]; readonly partitions: number[] },
    records: readonly AppendRecord[],
  ): { readonly order: Uint32Array | undefined; readonly runs: readonly number[] } {
    const order = byPartition(records, channel.partitions)
    const runs: number[] = []
    const { slabs } = this.#storage
    let current = -1
    for (let i = 0; i < records.length; i++) {
      const { partition, key, body, tombstone } = records[order === undefined ? i : order[i]!]!
      slabs.write(
        spans,
        held,
        tombstone ? tombstoneId : '',
        key,
        body,
        partitions[partitions.length - 1] !== partition,
      )
      const span = spans.length / 4 - 1
      if (span === partitions.length) partitions.push(partition)
      if (span !== current) {
        runs.push(span, spans[span * 4 + 3]! - 1, 0)
        current = span
      }
      runs[runs.length - 1]! += 1
    }
    return { order, runs }
  }

  #merge(channel: Channel): Pending<Append> {
    const { open } = channel
    if (open.append !== undefined && open.turn === this.#storage.turn) return open.append
    open.turn = this.#storage.turn
    open.append = this.#storage.begin(appendTo(channel))
    return open.append
  }

  async read(
    stream: string,
    from: readonly PartitionPosition[],
    options: ReadOptions,
  ): Promise<StreamRecord[]> {
    if (this.#closed) throw closedError()
    checkWhole(options.maxRecords, 1, 'maxRecords')
    checkWhole(options.maxBytes, 1, 'maxBytes')
    checkMs(options.waitMs, 0, 'waitMs')
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    for (const { partition, position } of from) {
      checkPartition(partition, channel)
      checkWhole(position, 0, 'position')
    }
    if (options.signal?.aborted || this.#closed) return []
    const wanted = from.flatMap(({ partition, position }) => [partition, position])
    return channel.room.until(
      async () => {
        const parts = await this.#storage.ask({
          kind: 'read',
          stream: channel.id,
          from: wanted,
          maxRecords: options.maxRecords,
          maxBytes: options.maxBytes,
        })
        return { found: this.#records(parts), empty: parts.length === 0, nextDue: null }
      },
      options.waitMs,
      options.signal,
    )
  }

  async readKey(
    stream: string,
    key: string,
    options: { readonly fromVersion: number; readonly limit: number },
  ): Promise<StreamRecord[]> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    if (!channel.versions) throw withoutVersions(channel)
    const { fromVersion, limit } = options
    checkWhole(fromVersion, 1, 'fromVersion')
    checkWhole(limit, 1, 'limit')
    return this.#records(
      await this.#storage.ask({ kind: 'readKey', stream: channel.id, key, fromVersion, limit }),
    )
  }

  #records(parts: readonly StreamPart[]): StreamRecord[] {
    const records: StreamRecord[] = []
    const reader = this.#reader
    for (const { partition, position, count, appendedAt, versions, positions, data } of parts) {
      reader.start(data)
      for (let i = 0; i < count; i++)
        records.push(
          reader.next((_id, key, body) => ({
            partition,
            position: positions?.[i] ?? position + i,
            key,
            body,
            appendedAt,
            version: versions?.[i] ?? undefined,
          })),
        )
    }
    return records
  }

  async bounds(stream: string): Promise<PartitionBounds[]> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    const numbers = await this.#storage.ask({ kind: 'bounds', stream: channel.id })
    return Array.from({ length: channel.partitions }, (_, partition) => {
      const [earliest, next, floor] = numbers.slice(3 * partition) as [number, number, number]
      return { partition, earliest, next, ...(floor < earliest ? { completeFrom: floor } : {}) }
    })
  }

  async trim(stream: string, below: readonly PartitionPosition[]): Promise<void> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    for (const { partition, position } of below) {
      checkPartition(partition, channel)
      checkWhole(position, 0, 'position')
    }
    const pairs = below.flatMap(({ partition, position }) => [partition, position])
    await this.#storage.ask({ kind: 'trim', stream: channel.id, below: pairs })
    while (await this.#storage.ask({ kind: 'sweep', stream: channel.id }));
  }

  async positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    const positions = await this.#storage.ask({ kind: 'positionsAt', stream: channel.id, time })
    return positions.map((position, partition) => ({ partition, position }))
  }

  async join(stream: string, group: string, options: JoinOptions): Promise<Membership> {
    const { sessionMs } = options
    checkMs(sessionMs, minSessionMs, 'sessionMs')
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    if (this.#closed) throw closedError()
    const id = this.#nextMember++
    const member = new SqliteMembership(this.#storage, id, options, () => {
      this.#members.delete(id)
    })
    this.#members.set(id, member)
    try {
      await this.#storage.ask({
        kind: 'join',
        member: id,
        stream: channel.id,
        group,
        sessionMs: Math.ceil(sessionMs),
      })
    } catch (thrown) {
      this.#members.delete(id)
      throw thrown
    }
    return member
  }

  async committed(stream: string, group: string): Promise<CommittedPosition[]> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    const positions = await this.#storage.ask({ kind: 'committed', stream: channel.id, group })
    return positions.map((position, partition) => ({ partition, position }))
  }

  async names(): Promise<string[]> {
    return [...(await this.#storage.ask({ kind: 'streamNames' }))]
  }

  async groups(stream: string): Promise<string[]> {
    const channel = this.#channels.get(stream) ?? (await this.#find(stream))
    return [...(await this.#storage.ask({ kind: 'groupNames', stream: channel.id }))]
  }

  /** Look again: in these streams, or in all. */
  wake(ids: readonly number[] | undefined): void {
    if (ids === undefined) for (const channel of this.#byId.values()) channel.room.wake()
    else for (const id of ids) this.#byId.get(id)?.room.wake()
  }

  notice(notices: readonly MemberNotice[]): void {
    for (const notice of notices) this.#members.get(notice.member)?.notice(notice)
  }

  fail(error: SpillwayError): void {
    for (const member of this.#members.values()) member.fail(error)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const channel of this.#byId.values()) channel.room.close()
    await Promise.all([...this.#members.values()].map((member) => member.close()))
  }

  async #find(name: string): Promise<Channel> {
    const facts = await this.#storage.ask({ kind: 'findStream', name })
    if (facts === null)
      throw new SpillwayError('UNKNOWN_STREAM', `There is no stream '${name}'.`, { engine: 'sqlite' })
    return this.#add(name, facts)
  }

  #add(name: string, facts: StreamFacts): Channel {
    const known = this.#channels.get(name)
    if (known?.versions === facts.versions) return known
    const room = known?.room ?? new WaitingRoom(this.#storage)
    const channel: Channel = { ...facts, name, room, open: { turn: -1, append: undefined } }
    this.#channels.set(name, channel)
    this.#byId.set(facts.id, channel)
    return channel
  }
}

function appendTo({ id }: Channel, producer: Producer | null = null): Append {
  return { kind: 'append', stream: id, spans: [], partitions: [], producer }
}

function check({ partition, expectedVersion, key }: AppendRecord, channel: Channel): void {
  checkPartition(partition, channel)
  if (expectedVersion === undefined) return
  if (!channel.versions) throw withoutVersions(channel)
  if (key === undefined)
    throw new SpillwayError('CONFIGURATION', 'A record without a key has no version to expect.', {
      engine: 'sqlite',
    })
  checkWhole(expectedVersion, 0, 'expectedVersion')
}

function checkPartition(partition: number, { name, partitions }: Channel): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `The stream '${name}' has no partition ${partition}; it has ${partitions}.`,
    { engine: 'sqlite' },
  )
}

function withoutVersions({ name }: Channel): SpillwayError {
  return new SpillwayError('CONFIGURATION', `The stream '${name}' was declared without versions.`, {
    engine: 'sqlite',
  })
}

/** The indexes of the records, stably sorted by partition (by counting); undefined when they stand so already. */
function byPartition(records: readonly AppendRecord[], partitions: number): Uint32Array | undefined {
  const first = records[0]!.partition
  if (records.every(({ partition }) => partition === first)) return undefined
  const starts = new Uint32Array(partitions + 1)
  for (const { partition } of records) starts[partition + 1]! += 1
  for (let i = 1; i < partitions; i++) starts[i]! += starts[i - 1]!
  const order = new Uint32Array(records.length)
  for (let i = 0; i < records.length; i++) order[starts[records[i]!.partition]!++] = i
  return order
}
