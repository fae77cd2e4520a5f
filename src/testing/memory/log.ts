// One stream in memory: its partitions, its records by key when it keeps versions, its groups, and the reads that wait for it.
import type { Clock } from '../../core/clock.ts'
import { type Producer, producerKeptMs } from '../../ports/producer.ts'
import type { Retention } from '../../ports/retention.ts'
import type {
  AppendRecord,
  AppendResult,
  CommittedPosition,
  JoinOptions,
  PartitionBounds,
  PartitionPosition,
  ReadOptions,
  StreamRecord,
} from '../../ports/stream.ts'
import { Group } from './group.ts'
import type { Capacity } from './limits.ts'
import type { GroupMember } from './member.ts'
import { Records } from './records.ts'
import { answer, type OpenCalls, type Waiting, waiting } from './waiting.ts'

interface Partition {
  readonly records: Records
  readonly waiters: Set<Waiter>
}

/** The records of a key that are kept, and how many there ever were. */
interface History {
  kept: StreamRecord[]
  count: number
}

interface Waiter {
  readonly call: Waiting<StreamRecord>
  readonly from: readonly PartitionPosition[]
  readonly options: ReadOptions
}

export class Log {
  versions: boolean
  retention: Retention = {}
  readonly #clock: Clock
  readonly #capacity: Capacity
  readonly #partitions: readonly Partition[]
  readonly #keys = new Map<string, History>()
  readonly #groups = new Map<string, Group>()
  readonly #producers = new Map<string, { readonly sequence: number; readonly at: number }>()
  #lastAppend = 0

  constructor(partitions: number, versions: boolean, clock: Clock, capacity: Capacity) {
    this.versions = versions
    this.#clock = clock
    this.#capacity = capacity
    this.#partitions = Array.from({ length: partitions }, () => ({
      records: new Records(),
      waiters: new Set<Waiter>(),
    }))
  }

  get partitions(): number {
    return this.#partitions.length
  }

  get empty(): boolean {
    return this.#partitions.every(({ records }) => records.all.length === 0)
  }

  append(records: readonly AppendRecord[], producer?: Producer): AppendResult {
    this.#retain()
    const stored = producer && this.#producers.get(producer.id)?.sequence
    if (records.length === 0) return { status: 'appended', positions: [] }
    if (producer && stored !== undefined && producer.sequence <= stored)
      return { status: 'duplicate', sequence: stored }
    const conflict = this.#conflict(records)
    if (conflict !== undefined) return conflict
    this.#capacity.reserve(records.length)
    // It never falls, though a clock may step back: positionsAt searches by it.
    this.#lastAppend = Math.max(this.#lastAppend, this.#clock.now())
    const positions = records.map((record) => this.#store(record))
    if (producer) this.#remember(producer)
    for (const partition of new Set(records.map((record) => record.partition)))
      for (const waiter of [...this.#partitions[partition]!.waiters]) {
        const found = this.#collect(waiter.from, waiter.options)
        if (found.length > 0) waiter.call.end(found)
      }
    return { status: 'appended', positions }
  }

  read(from: readonly PartitionPosition[], options: ReadOptions, open: OpenCalls): Promise<StreamRecord[]> {
    if (options.signal?.aborted) return answer([])
    this.#retain()
    const found = this.#collect(from, options)
    if (found.length > 0 || options.waitMs === 0) return answer(found)
    const places = from.map(({ partition }) => this.#partitions[partition]!.waiters)
    const call = waiting<StreamRecord>(this.#clock, options, open, () => {
      for (const waiters of places) waiters.delete(waiter)
    })
    const waiter: Waiter = { call, from: [...from], options }
    for (const waiters of places) waiters.add(waiter)
    return call.result
  }

  readKey(key: string, fromVersion: number, limit: number): StreamRecord[] {
    this.#retain()
    const kept = this.#keys.get(key)?.kept ?? []
    const first = kept.findIndex(({ version }) => version! >= fromVersion)
    return first < 0 ? [] : kept.slice(first, first + limit)
  }

  bounds(): PartitionBounds[] {
    this.#retain()
    return this.#partitions.map(({ records: { earliest, next, trimmed } }, partition) => ({
      partition,
      earliest,
      next,
      ...(trimmed < earliest ? { completeFrom: trimmed } : {}),
    }))
  }

  positionsAt(time: number): PartitionPosition[] {
    this.#retain()
    return this.#partitions.map(({ records }, partition) => {
      const index = records.first(({ appendedAt }) => appendedAt >= time)
      return { partition, position: records.all[index]?.position ?? records.next }
    })
  }

  trim(below: readonly PartitionPosition[]): void {
    for (const { partition, position } of below)
      this.#forget(this.#partitions[partition]!.records.trim(position))
  }

  /** Nobody notices that it happens when somebody looks. */
  #retain(): void {
    const { maxAgeMs, maxBytes, compact } = this.retention
    for (const { records } of this.#partitions) {
      if (maxAgeMs !== undefined) this.#forget(records.olderThan(this.#clock.now() - maxAgeMs))
      if (compact !== undefined) this.#forget(records.compact(this.#clock.now() - compact.tombstonesMs))
      if (maxBytes !== undefined) this.#forget(records.beyond(maxBytes / this.#partitions.length))
    }
  }

  #forget(records: readonly StreamRecord[]): void {
    if (records.length === 0) return
    this.#capacity.free(records.length)
    const gone = new Set(records)
    const histories = new Set(records.map(({ key }) => (key === undefined ? undefined : this.#keys.get(key))))
    for (const history of histories)
      if (history) history.kept = history.kept.filter((each) => !gone.has(each))
  }

  committed(group: string): CommittedPosition[] {
    const committed = this.#groups.get(group)?.committed ?? []
    return this.#partitions.map((_, partition) => ({ partition, position: committed[partition] ?? null }))
  }

  groups(): string[] {
    return [...this.#groups.keys()].sort()
  }

  join(name: string, options: JoinOptions): GroupMember {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new Group(this.#partitions.length, this.#clock)
      this.#groups.set(name, group)
    }
    return group.join(options)
  }

  /** The map is in the order of the last appends: who has been silent for too long stands first. */
  #remember({ id, sequence }: Producer): void {
    const at = this.#clock.now()
    this.#producers.delete(id)
    this.#producers.set(id, { sequence, at })
    for (const [silent, last] of this.#producers) {
      if (last.at >= at - producerKeptMs) break
      this.#producers.delete(silent)
    }
  }

  #store({ partition, key, body, tombstone }: AppendRecord): number {
    const { records } = this.#partitions[partition]!
    const position = records.next
    const history = this.versions && key !== undefined ? this.#history(key) : undefined
    const version = history === undefined ? undefined : ++history.count
    const record = Object.freeze({
      partition,
      position,
      key,
      body,
      appendedAt: this.#lastAppend,
      version,
    })
    records.add(record, tombstone ?? false)
    history?.kept.push(record)
    return position
  }

  #history(key: string): History {
    let history = this.#keys.get(key)
    if (history === undefined) {
      history = { kept: [], count: 0 }
      this.#keys.set(key, history)
    }
    return history
  }

  #conflict(records: readonly AppendRecord[]): AppendResult | undefined {
    if (!this.versions) return undefined
    const coming = new Map<string, number>()
    for (const [index, { key, expectedVersion }] of records.entries()) {
      if (key === undefined) continue
      const version = this.#keys.get(key)?.count ?? 0
      const before = coming.get(key) ?? 0
      if (expectedVersion !== undefined && expectedVersion !== version + before)
        return { status: 'conflict', index, version }
      coming.set(key, before + 1)
    }
    return undefined
  }

  /** One record of each partition in turn, until a bound is met or nothing is left. */
  #collect(from: readonly PartitionPosition[], options: ReadOptions): StreamRecord[] {
    // Whoever reads on has positions that are higher by as many records as it was given: starting at their sum goes on
    // with the partition whose turn it is, without the engine remembering any reader.
    let turn = 0
    for (const { position } of from) turn = (turn + (Math.max(position, 0) % from.length)) % from.length
    let cursors = [...from.slice(turn), ...from.slice(0, turn)].map(({ partition, position }) => ({
      all: this.#partitions[partition]!.records.all,
      next: this.#partitions[partition]!.records.from(position),
    }))
    const found: StreamRecord[] = []
    let bytes = 0
    for (;;) {
      cursors = cursors.filter(({ all, next }) => next < all.length)
      if (cursors.length === 0) return found
      for (const cursor of cursors) {
        const record = cursor.all[cursor.next++]!
        bytes += Buffer.byteLength(record.body)
        if (found.length > 0 && bytes > options.maxBytes) return found
        if (found.push(record) === options.maxRecords) return found
      }
    }
  }
}
