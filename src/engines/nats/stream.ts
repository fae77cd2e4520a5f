// The stream port on JetStream: a NATS stream with a subject per partition, and batches of records in its messages.
import { SpillwayError } from '../../core/errors.ts'
import { missing, type StreamCapabilities } from '../../ports/capability.ts'
import type { Producer } from '../../ports/producer.ts'
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
import type { Api } from './api.ts'
import type { Backlog } from './backlog.ts'
import { apiCode, closedError, isFault, translate } from './errors.ts'
import { firstMessage } from './first-record.ts'
import { completeFrom, type Floor, firstAbove, floorOf, storeFloor } from './floors.ts'
import { Groups } from './groups.ts'
import type { Names } from './names.ts'
import { requireAtLeast, requirePartition, requireWhole } from './options.ts'
import { BatchReader, positionOf, sequenceOf } from './record-batch.ts'
import { StreamAppend } from './stream-append.ts'
import { StreamRead } from './stream-read.ts'
import type { KnownStream, Streams } from './streams.ts'

const minSessionMs = 1_000

export class NatsStream implements StreamPort {
  readonly capabilities: StreamCapabilities = {
    fencing: 'engine',
    atomicAppend: false,
    versions: false,
    producers: false,
    compaction: false,
  }
  readonly limits: { readonly maxBodyBytes: number; readonly minSessionMs: number }
  readonly #api: Api
  readonly #streams: Streams
  readonly #names: Names
  readonly #append: StreamAppend
  readonly #read: StreamRead
  readonly #groups: Groups
  readonly #running = new Set<Promise<unknown>>()
  #closed = false

  constructor(api: Api, streams: Streams, names: Names, backlog: Backlog, maxBodyBytes: number) {
    this.limits = { maxBodyBytes, minSessionMs }
    this.#api = api
    this.#streams = streams
    this.#names = names
    this.#append = new StreamAppend(api, streams, backlog, maxBodyBytes)
    this.#read = new StreamRead(api, streams)
    this.#groups = new Groups(api, names)
  }

  declare(spec: StreamSpec): Promise<{ readonly partitions: number }> {
    return this.#call(`declaring the stream '${spec.name}'`, spec.name, async () => {
      if (spec.versions) throw missing('nats', 'stream', 'versions')
      const { partitions } = await this.#streams.declare(spec)
      return { partitions }
    })
  }

  append(
    stream: string,
    records: readonly AppendRecord[],
    options?: { readonly producer?: Producer | undefined },
  ): Promise<AppendResult> {
    return this.#call(`appending to '${stream}'`, stream, () => {
      if (options?.producer) throw missing('nats', 'stream', 'producers')
      checkTombstones('nats', records)
      for (const { expectedVersion } of records)
        if (expectedVersion !== undefined) throw missing('nats', 'stream', 'versions')
      return this.#append.append(stream, records)
    })
  }

  read(stream: string, from: readonly PartitionPosition[], options: ReadOptions): Promise<StreamRecord[]> {
    return this.#call(`reading '${stream}'`, stream, () => {
      requireWhole('maxRecords', options.maxRecords, 1)
      requireAtLeast('maxBytes', options.maxBytes, 1)
      requireAtLeast('waitMs', options.waitMs, 0)
      return this.#read.read(stream, from, options)
    })
  }

  readKey(): Promise<StreamRecord[]> {
    return this.#call('reading by key', undefined, () =>
      Promise.reject(missing('nats', 'stream', 'versions')),
    )
  }

  bounds(name: string): Promise<PartitionBounds[]> {
    return this.#call(`asking for the bounds of '${name}'`, name, async () => {
      const [stream, , first] = await this.#end(name)
      return await Promise.all(
        partitionsOf(stream).map(async (partition) => {
          const [low, next] = await this.#lowAndNext(stream, partition, first)
          const earliest = await this.#first(stream, partition, undefined, low, next)
          return { partition, earliest, next, completeFrom: Math.min(earliest, low) }
        }),
      )
    })
  }

  positionsAt(name: string, time: number): Promise<PartitionPosition[]> {
    return this.#call(`asking for positions in '${name}'`, name, async () => {
      const [stream, , first] = await this.#end(name)
      const from = time > 0 ? time : undefined
      return await Promise.all(
        partitionsOf(stream).map(async (partition) => {
          const [low, next] = await this.#lowAndNext(stream, partition, first)
          return { partition, position: await this.#first(stream, partition, from, low, next) }
        }),
      )
    })
  }

  join(name: string, group: string, options: JoinOptions): Promise<Membership> {
    return this.#call(`joining the group '${group}'`, name, async () => {
      requireAtLeast('sessionMs', options.sessionMs, minSessionMs)
      return await this.#groups.join(await this.#streams.get(name), group, options)
    })
  }

  committed(name: string, group: string): Promise<CommittedPosition[]> {
    return this.#call(`asking for the positions of '${group}'`, name, async () =>
      this.#groups.committed(await this.#streams.get(name), group),
    )
  }

  names(): Promise<string[]> {
    return this.#call('listing the streams', undefined, () => this.#api.names(this.#names.streams))
  }

  groups(name: string): Promise<string[]> {
    return this.#call(`listing the groups of '${name}'`, name, async () =>
      this.#groups.names(await this.#streams.get(name)),
    )
  }

  /** To the record: what a message holds below the position stays on the server with the rest of the message, and is passed over. */
  trim(name: string, below: readonly PartitionPosition[]): Promise<void> {
    return this.#call(`trimming '${name}'`, name, async () => {
      const [stream, next, first] = await this.#end(name)
      for (const { partition, position } of below) {
        requirePartition(name, partition, stream.partitions)
        requireWhole('position', position, 0)
      }
      const wanted = new Map(below.map(({ partition, position }) => [partition, Math.min(position, next)]))
      // First the marks, of all partitions: when this trim has moved the beginning of the stream, they tell whether something was there.
      const cuts = await Promise.all(
        partitionsOf(stream).map((partition) =>
          this.#markTrim(stream, partition, wanted.get(partition) ?? 0, first, next),
        ),
      )
      await Promise.all(
        cuts.map(async (kept, partition) => {
          if (wanted.has(partition) && kept > 1)
            await this.#api.purge(stream.names.stream, `${stream.names.base}.${partition}`, kept)
        }),
      )
    })
  }

  /** From now on nobody sees what is below; gives the number of the first message that stays, of which there may be none yet. */
  async #markTrim(
    stream: KnownStream,
    partition: number,
    wanted: number,
    first: number,
    end: number,
  ): Promise<number> {
    // Above the last record of this partition, but below what others have: stands for its own end.
    const [low, next, floor] = await this.#lowAndNext(stream, partition, first)
    const below = Math.max(low, Math.min(wanted, next))
    // Asked for after the end: what is not found below it is not there.
    const kept = await firstAbove(this.#api, stream, partition, below)
    const clear = kept === undefined ? end : positionOf(kept)
    if (below !== floor.low || clear > floor.clear)
      await storeFloor(this.#api, stream, partition, { low: below, clear })
    return kept ?? sequenceOf(end)
  }

  /** Ends the memberships and reads, and waits until what was accepted is done. */
  async close(): Promise<void> {
    this.#closed = true
    this.#read.close()
    await this.#groups.close()
    await Promise.allSettled(this.#running)
  }

  /** The stream, the position that no record has reached yet, and one that no record is below: what the server let go is a beginning. */
  async #end(name: string): Promise<readonly [KnownStream, number, number]> {
    const stream = await this.#streams.get(name)
    const info = await this.#api.streamInfo(stream.names.stream)
    if (info === undefined) {
      await this.#streams.check(name)
      throw new SpillwayError('ENGINE_UNAVAILABLE', `The stream '${name}' is being made.`, { engine: 'nats' })
    }
    const { first_seq, last_seq } = info.state
    return [stream, positionOf(last_seq + 1), first_seq > 1 ? positionOf(first_seq) : 0]
  }

  /** From where on a partition has all that it ever had, the position right behind its last record, and how it was trimmed. */
  async #lowAndNext(
    stream: KnownStream,
    partition: number,
    first: number,
  ): Promise<readonly [number, number, Floor]> {
    const { names } = stream
    const [floor, last] = await Promise.all([
      floorOf(this.#api, stream, partition),
      this.#api.message(names.stream, { last_by_subj: `${names.base}.${partition}` }),
    ])
    const low = completeFrom(floor, first)
    if (last === undefined) return [low, low, floor]
    const { count } = new BatchReader(last.data, last.sequence, last.time)
    return [low, Math.max(low, positionOf(last.sequence) + count), floor]
  }

  async #first(
    stream: KnownStream,
    partition: number,
    time: number | undefined,
    low: number,
    next: number,
  ): Promise<number> {
    if (low === next) return next
    const sequence = await firstMessage(this.#api, stream, partition, time)
    return sequence === undefined ? next : Math.min(next, Math.max(positionOf(sequence), low))
  }

  async #call<T>(doing: string, name: string | undefined, call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError()
    // What throws at once rejects too.
    const running = (async () => call())()
    this.#running.add(running)
    try {
      return await running
    } catch (thrown) {
      const gone = name !== undefined && isFault(thrown, apiCode.streamNotFound)
      const cause = gone ? await this.#streams.check(name).catch((error) => error) : undefined
      throw translate(cause ?? thrown, doing)
    } finally {
      this.#running.delete(running)
    }
  }
}

function partitionsOf(stream: KnownStream): number[] {
  return Array.from({ length: stream.partitions }, (_, partition) => partition)
}
