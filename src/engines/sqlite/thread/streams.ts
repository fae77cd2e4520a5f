// The streams of the store: appending record batches, and reading them by position, by key and by time.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SpillwayError } from '../../../core/errors.ts'
import type { Limits } from '../../../ports/retention.ts'
import type { Answers, Spans, StreamFacts, StreamPart, WriteOperation } from '../wire.ts'
import { spanWidth } from '../wire.ts'
import { BatchCache } from './batch-cache.ts'
import { Producers } from './producers.ts'
import { forEachRow } from './spans.ts'
import type { Part, Transaction } from './transaction.ts'

const cacheBytes = 16 * 1024 * 1024

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

/** The end of a partition, and what this transaction appends to it. */
interface Tail {
  readonly stream: number
  readonly partition: number
  /** What is in the file. */
  next: number
  lastAt: number
  /** Held back until the end of the transaction, so that concurrent appends share a row. */
  spans: Spans
  versions: (number | null)[] | null
  held: number
}

interface BatchRow {
  readonly id: number
  readonly base: number
  readonly count: number
  readonly appended_at: number
  readonly versions: string | null
  readonly places: string | null
  readonly bytes: number
}

export class Streams implements Part {
  readonly #tails = new Map<number, Tail[]>()
  readonly #touched = new Set<Tail>()
  /** Whether a stream keeps versions. */
  readonly #versions = new Map<number, boolean>()
  readonly #producers: Producers
  readonly #cache = new BatchCache<string>(cacheBytes)
  readonly #declare: StatementSync
  readonly #keepVersions: StatementSync
  readonly #setLimits: StatementSync
  readonly #forgetSize: StatementSync
  readonly #any: StatementSync
  readonly #find: StatementSync
  readonly #versionsOf: StatementSync
  readonly #last: StatementSync
  readonly #first: StatementSync
  readonly #floor: StatementSync
  readonly #setFloor: StatementSync
  readonly #insert: StatementSync
  readonly #batchBefore: StatementSync
  readonly #batchAfter: StatementSync
  readonly #data: StatementSync
  readonly #lastVersion: StatementSync
  readonly #insertVersion: StatementSync
  readonly #versionsFrom: StatementSync

  constructor(db: DatabaseSync) {
    this.#producers = new Producers(db)
    this.#declare = db.prepare(
      'INSERT INTO stream (name, partitions, versions) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    )
    this.#keepVersions = db.prepare('UPDATE stream SET versions = ? WHERE id = ?')
    this.#setLimits = db.prepare(
      'UPDATE stream SET max_age_ms = ?, max_bytes = ?, tombstones_ms = ? WHERE id = ?',
    )
    this.#forgetSize = db.prepare('DELETE FROM stream_size WHERE stream = ?')
    this.#any = db.prepare('SELECT 1 FROM stream_batch WHERE stream = ? LIMIT 1')
    this.#find = db.prepare('SELECT id, partitions, versions FROM stream WHERE name = ?')
    this.#versionsOf = db.prepare('SELECT versions FROM stream WHERE id = ?')
    this.#last = db.prepare(
      `SELECT base + count AS next, appended_at AS at FROM stream_batch
       WHERE stream = ? AND partition = ? ORDER BY base DESC LIMIT 1`,
    )
    this.#first = db.prepare('SELECT min(base) AS base FROM stream_batch WHERE stream = ? AND partition = ?')
    this.#floor = db.prepare('SELECT position FROM stream_floor WHERE stream = ? AND partition = ?')
    this.#setFloor = db.prepare('INSERT OR REPLACE INTO stream_floor VALUES (?, ?, ?)')
    this.#insert = db.prepare(
      `INSERT INTO stream_batch (stream, partition, base, count, appended_at, versions, data)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    const columns = 'id, base, count, appended_at, versions, places, octet_length(data) AS bytes'
    this.#batchBefore = db.prepare(
      `SELECT ${columns} FROM stream_batch WHERE stream = ? AND partition = ? AND base <= ? ORDER BY base DESC LIMIT 1`,
    )
    this.#batchAfter = db.prepare(
      `SELECT ${columns} FROM stream_batch WHERE stream = ? AND partition = ? AND base >= ? ORDER BY base LIMIT 1`,
    )
    this.#data = db.prepare('SELECT data FROM stream_batch WHERE id = ?')
    this.#lastVersion = db.prepare(
      'SELECT max(version) AS version FROM stream_version WHERE stream = ? AND key = ?',
    )
    this.#insertVersion = db.prepare(
      'INSERT INTO stream_version (stream, key, version, partition, position) VALUES (?, ?, ?, ?, ?)',
    )
    this.#versionsFrom = db.prepare(
      `SELECT version, partition, position FROM stream_version AS v
       WHERE stream = ? AND key = ? AND version >= ? AND position >= coalesce(
         (SELECT position FROM stream_floor AS f WHERE f.stream = v.stream AND f.partition = v.partition), 0)
       ORDER BY version LIMIT ?`,
    )
  }

  declare({ name, partitions, versions, limits }: Of<'declareStream'>): StreamFacts {
    this.#declare.run(name, partitions, versions ? 1 : 0)
    const facts = this.#keepVersionsOr(this.find(name)!, name, versions)
    if (limits !== null) this.#limit(facts.id, limits)
    return facts
  }

  #limit(stream: number, { maxAgeMs, maxBytes, tombstonesMs }: Limits): void {
    this.#setLimits.run(maxAgeMs, maxBytes, tombstonesMs, stream)
    // Sizes are not kept up while nobody asks for them.
    if (maxBytes === null) this.#forgetSize.run(stream)
  }

  #keepVersionsOr(facts: StreamFacts, name: string, versions: boolean | null): StreamFacts {
    if (versions === null || facts.versions === versions) return facts
    if (this.#any.get(facts.id) !== undefined || this.#tails.get(facts.id)?.some(({ held }) => held > 0))
      throw new SpillwayError(
        'CONFIGURATION',
        `The stream '${name}' has records already, stored ${facts.versions ? 'with' : 'without'} versions.`,
      )
    this.#keepVersions.run(versions ? 1 : 0, facts.id)
    this.#versions.delete(facts.id)
    return { ...facts, versions }
  }

  find(name: string): StreamFacts | null {
    const row = this.#find.get(name)
    if (row === undefined) return null
    return { id: Number(row.id), partitions: Number(row.partitions), versions: Number(row.versions) === 1 }
  }

  append({ stream, spans, partitions, producer }: Of<'append'>, transaction: Transaction): Answers['append'] {
    this.#expectVersions(stream, false)
    const duplicate = this.#producers.duplicate(stream, producer)
    if (duplicate !== undefined) return duplicate
    this.#producers.store(stream, producer, transaction.now)
    transaction.wakeStreams.add(stream)
    return partitions.map((partition, index) => {
      const tail = this.#tail(stream, partition)
      const at = index * spanWidth
      return this.#hold(tail, spans, at)
    })
  }

  /** Another process may have declared an empty stream anew. */
  #expectVersions(stream: number, expected: boolean): void {
    let versions = this.#versions.get(stream)
    if (versions === undefined) {
      versions = Number(this.#versionsOf.get(stream)!.versions) === 1
      this.#versions.set(stream, versions)
    }
    if (versions !== expected)
      throw new SpillwayError(
        'CONFIGURATION',
        `Another process has declared this stream ${versions ? 'with' : 'without'} versions.`,
        { engine: 'sqlite' },
      )
  }

  /** Keeps a span for the end of the transaction and returns the position of its first record. */
  #hold(tail: Tail, spans: Spans, at: number): number {
    const position = tail.next + tail.held
    const count = spans[at + 3]!
    tail.spans.push(spans[at]!, spans[at + 1]!, spans[at + 2]!, count)
    tail.held += count
    this.#touched.add(tail)
    return position
  }

  appendVersions(operation: Of<'appendVersions'>, transaction: Transaction): Answers['appendVersions'] {
    const { stream, records } = operation
    this.#expectVersions(stream, true)
    const duplicate = this.#producers.duplicate(stream, operation.producer)
    if (duplicate !== undefined) return duplicate
    const versions: (number | null)[] = []
    const counts = new Map<string, number>()
    for (const [index, [, key, expected]] of records.entries()) {
      if (key === null) {
        versions.push(null)
        continue
      }
      const found = counts.get(key) ?? this.#count(stream, key)
      if (expected !== null && expected !== found) return { index, version: this.#count(stream, key) }
      counts.set(key, found + 1)
      versions.push(found + 1)
    }
    this.#producers.store(stream, operation.producer, transaction.now)
    transaction.wakeStreams.add(stream)
    const next = new Map<number, number>()
    for (const [index, partition] of operation.partitions.entries()) {
      const position = this.#hold(this.#tail(stream, partition), operation.spans, index * spanWidth)
      if (!next.has(partition)) next.set(partition, position)
    }
    const positions = records.map(([partition, key], index) => {
      const position = next.get(partition)!
      next.set(partition, position + 1)
      const version = versions[index]!
      const tail = this.#tail(stream, partition)
      tail.versions ??= []
      tail.versions.push(version)
      if (key !== null) this.#insertVersion.run(stream, key, version, partition, position)
      return position
    })
    return { positions }
  }

  #count(stream: number, key: string): number {
    return Number(this.#lastVersion.get(stream, key)!.version ?? 0)
  }

  #tail(stream: number, partition: number): Tail {
    const tails = this.#tails.get(stream) ?? []
    this.#tails.set(stream, tails)
    const known = tails[partition]
    if (known !== undefined) return known
    const tail: Tail = {
      stream,
      partition,
      next: this.#next(stream, partition),
      lastAt: Number(this.#last.get(stream, partition)?.at ?? 0),
      spans: [],
      versions: null,
      held: 0,
    }
    tails[partition] = tail
    return tail
  }

  finish({ now, slabs }: Transaction): void {
    for (const tail of this.#touched) {
      const { stream, partition, versions } = tail
      tail.lastAt = Math.max(now, tail.lastAt)
      let written = 0
      forEachRow(tail.spans, slabs, (data, count) => {
        const ofRow = versions === null ? null : JSON.stringify(versions.slice(written, written + count))
        this.#insert.run(stream, partition, tail.next, count, tail.lastAt, ofRow, data)
        tail.next += count
        written += count
      })
      tail.spans = []
      tail.versions = null
      tail.held = 0
    }
    this.#touched.clear()
  }

  forget(): void {
    this.#tails.clear()
    this.#touched.clear()
    this.#versions.clear()
  }

  /** Shares the bounds among the partitions that have something, beginning with a random one. */
  read(stream: number, from: readonly number[], maxRecords: number, maxBytes: number): StreamPart[] {
    const parts: StreamPart[] = []
    const wanted: { partition: number; position: number }[] = []
    const turn = Math.floor(Math.random() * (from.length / 2))
    for (let i = 0; i < from.length; i += 2) {
      const at = ((i / 2 + turn) % (from.length / 2)) * 2
      const partition = from[at]!
      wanted.push({ partition, position: Math.max(from[at + 1]!, this.#floorOf(stream, partition)) })
    }
    const left = { records: maxRecords, bytes: maxBytes }
    for (let open = wanted; open.length > 0 && left.records > 0 && (left.bytes > 0 || parts.length === 0); ) {
      const share = {
        records: Math.max(1, Math.floor(left.records / open.length)),
        bytes: left.bytes / open.length,
      }
      const more: typeof wanted = []
      for (const want of open) {
        if (left.records <= 0 || (left.bytes <= 0 && parts.length > 0)) break
        const part = this.#readPart(stream, want, Math.min(share.records, left.records), share.bytes)
        if (part === undefined) continue
        // A part may exceed its share by its one first record, which may not fit into what is left.
        if (parts.length > 0 && part.data.length > left.bytes) continue
        parts.push(part)
        left.records -= part.count
        left.bytes -= part.data.length
        more.push({ partition: want.partition, position: lastOf(part) + 1 })
      }
      open = more
    }
    return parts
  }

  /** At least one record, if there is one; no more than one batch. */
  #readPart(
    stream: number,
    { partition, position }: { readonly partition: number; readonly position: number },
    maxRecords: number,
    maxBytes: number,
  ): StreamPart | undefined {
    const row = this.#batchAt(stream, partition, position)
    if (row === undefined) return undefined
    const places = placesOf(row)
    const count = places?.length ?? row.count
    const skip = places ? indexFrom(places, position - row.base) : Math.max(0, position - row.base)
    // What compaction has left of the row is all below.
    if (skip === count)
      return this.#readPart(stream, { partition, position: row.base + row.count }, maxRecords, maxBytes)
    if (skip === 0 && count <= maxRecords && row.bytes <= maxBytes)
      return {
        partition,
        position: row.base,
        count,
        appendedAt: row.appended_at,
        versions: versionsOf(row),
        positions: places?.map((place) => row.base + place) ?? null,
        data: this.#load(row.id),
      }
    // Compaction makes a row smaller: one of its size is the same one.
    const { data, offsets } = this.#cache.get(`${stream}/${partition}/${row.base}/${row.bytes}`, count, () =>
      this.#load(row.id),
    )
    let to = Math.min(count, skip + maxRecords)
    if (offsets[to]! - offsets[skip]! > maxBytes) to = lastWithin(offsets, skip, to, maxBytes)
    return {
      partition,
      position: row.base + (places?.[skip] ?? skip),
      count: to - skip,
      appendedAt: row.appended_at,
      versions: versionsOf(row)?.slice(skip, to) ?? null,
      positions: places?.slice(skip, to).map((place) => row.base + place) ?? null,
      data: data.slice(offsets[skip]!, offsets[to]!),
    }
  }

  #batchAt(stream: number, partition: number, position: number): BatchRow | undefined {
    const before = this.#batchBefore.get(stream, partition, position) as unknown as BatchRow | undefined
    if (before !== undefined && before.base + before.count > position) return before
    return this.#batchAfter.get(stream, partition, position) as unknown as BatchRow | undefined
  }

  #load(id: number): Uint8Array {
    return this.#data.get(id)!.data as Uint8Array
  }

  readKey(stream: number, key: string, fromVersion: number, limit: number): StreamPart[] {
    const parts: StreamPart[] = []
    for (let from = fromVersion; ; ) {
      const wanted = limit - parts.length
      const rows = this.#versionsFrom.all(stream, key, from, wanted)
      for (const row of rows) {
        const want = { partition: Number(row.partition), position: Number(row.position) }
        const part = this.#readPart(stream, want, 1, 0)
        // The last version of a key is known for longer than its record.
        if (part?.position === want.position) parts.push(part)
      }
      if (parts.length === limit || rows.length < wanted) return parts
      from = Number(rows.at(-1)!.version) + 1
    }
  }

  /** From now on nobody sees what is below: at once, however much it is. */
  trim({ stream, below }: Of<'trim'>): null {
    for (let i = 0; i < below.length; i += 2) {
      const partition = below[i]!
      const tail = this.#tails.get(stream)?.[partition]
      const end = this.#next(stream, partition) + (tail?.held ?? 0)
      this.raiseFloor(stream, partition, Math.min(below[i + 1]!, end))
    }
    return null
  }

  raiseFloor(stream: number, partition: number, floor: number): boolean {
    if (floor <= this.#floorOf(stream, partition)) return false
    this.#setFloor.run(stream, partition, floor)
    return true
  }

  bounds(stream: number, partitions: number): number[] {
    const bounds: number[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const floor = this.#floorOf(stream, partition)
      bounds.push(this.earliest(stream, partition), this.#next(stream, partition), floor)
    }
    return bounds
  }

  earliest(stream: number, partition: number): number {
    const first = this.#first.get(stream, partition)!.base
    if (first === null) return this.#next(stream, partition)
    return Math.max(Number(first), this.#floorOf(stream, partition))
  }

  #next(stream: number, partition: number): number {
    return Math.max(Number(this.#last.get(stream, partition)?.next ?? 0), this.#floorOf(stream, partition))
  }

  #floorOf(stream: number, partition: number): number {
    return Number(this.#floor.get(stream, partition)?.position ?? 0)
  }

  /** By halving: the times of a partition never fall. */
  positionAt(stream: number, partition: number, time: number): number {
    let low = this.earliest(stream, partition)
    let high = this.#next(stream, partition)
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = this.#batchAt(stream, partition, middle)!
      if (row.appended_at >= time) high = Math.min(middle, row.base)
      else low = row.base + row.count
    }
    return low
  }
}

/** How far records go from `from` within the bytes: one at least. */
function lastWithin(offsets: Uint32Array, from: number, to: number, maxBytes: number): number {
  let low = from + 1
  let high = to
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (offsets[middle]! - offsets[from]! <= maxBytes) low = middle
    else high = middle - 1
  }
  return low
}

function lastOf({ position, count, positions }: StreamPart): number {
  return positions?.[count - 1] ?? position + count - 1
}

function placesOf({ places }: BatchRow): readonly number[] | undefined {
  return places === null ? undefined : (JSON.parse(places) as number[])
}

/** The index of the first place at or after one. */
function indexFrom(places: readonly number[], place: number): number {
  let low = 0
  let high = places.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (places[middle]! < place) low = middle + 1
    else high = middle
  }
  return low
}

function versionsOf(row: BatchRow): (number | null)[] | null {
  return row.versions === null ? null : (JSON.parse(row.versions) as (number | null)[])
}
