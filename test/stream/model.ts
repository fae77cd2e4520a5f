// What the stream port promises of records that may leave, as lists that are looked through each time: too simple to be wrong. It says
// what must be there and what must not; of what may have gone meanwhile nothing but that it does not come back.
import assert from 'node:assert/strict'
import type { Producer } from '../../src/ports/producer.ts'
import type { Retention } from '../../src/ports/retention.ts'
import type { AppendRecord, AppendResult, PartitionBounds, StreamRecord } from '../../src/ports/stream.ts'

interface Kept {
  readonly partition: number
  readonly position: number
  readonly key: string | undefined
  readonly body: string
  readonly version: number | undefined
  readonly tombstone: boolean
  /** Compaction may have taken it. */
  mayGo: boolean
  gone: boolean
}

/** What a record takes at most beside its body and its key, where that is counted too. */
const besideBody = 13

export class StreamModel {
  readonly partitions: number
  readonly #versions: boolean
  readonly #all: Kept[][]
  readonly #floors: number[]
  readonly #counts = new Map<string, number>()
  readonly #producers = new Map<string, number>()
  #retention: Retention = {}

  constructor(partitions: number, versions: boolean) {
    this.partitions = partitions
    this.#versions = versions
    this.#all = Array.from({ length: partitions }, () => [])
    this.#floors = this.#all.map(() => 0)
  }

  count(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  next(partition: number): number {
    return this.#all[partition]!.length
  }

  append(records: readonly AppendRecord[], producer: Producer | undefined): AppendResult {
    const stored = producer && this.#producers.get(producer.id)
    if (stored !== undefined && producer!.sequence <= stored) return { status: 'duplicate', sequence: stored }
    const coming = new Map<string, number>()
    for (const [index, { key, expectedVersion }] of records.entries()) {
      if (key === undefined) continue
      const count = this.count(key) + (coming.get(key) ?? 0)
      if (expectedVersion !== undefined && expectedVersion !== count)
        return { status: 'conflict', index, version: this.count(key) }
      coming.set(key, (coming.get(key) ?? 0) + 1)
    }
    if (producer) this.#producers.set(producer.id, producer.sequence)
    const positions = records.map(({ partition, key, body, tombstone = false }) => {
      const all = this.#all[partition]!
      const counted = this.#versions && key !== undefined
      const version = counted ? this.count(key) + 1 : undefined
      if (counted) this.#counts.set(key, version!)
      const position = all.length
      all.push({ partition, position, key, body, version, tombstone, mayGo: false, gone: false })
      return position
    })
    this.#look()
    return { status: 'appended', positions }
  }

  trim(partition: number, below: number): void {
    this.#floors[partition] = Math.max(this.#floors[partition]!, Math.min(below, this.next(partition)))
  }

  retain(retention: Retention): void {
    this.#retention = retention
    this.#look()
  }

  /** What may go from now on, whatever the stream keeps later. */
  #look(): void {
    const { compact, maxBytes } = this.#retention
    for (const all of this.#all) {
      const later = new Set<string>()
      let bytes = 0
      for (const record of all.toReversed()) {
        const { key, tombstone, position } = record
        const isLast = position === all.length - 1
        if (compact && key !== undefined && (later.has(key) || (tombstone && !isLast))) record.mayGo = true
        if (maxBytes !== undefined && bytes >= maxBytes / this.partitions) record.mayGo = true
        if (key !== undefined) later.add(key)
        bytes += Buffer.byteLength(record.body) + Buffer.byteLength(key ?? '') + besideBody
      }
    }
  }

  #here({ partition, position, gone }: Kept): boolean {
    return !gone && position >= this.#floors[partition]!
  }

  /** All that one call read, from the beginning. */
  whole(found: readonly StreamRecord[]): void {
    for (const [partition, all] of this.#all.entries()) {
      const read = found.filter((record) => record.partition === partition)
      this.#inOrder(read)
      const places = new Set(read.map(({ position }) => position))
      for (const record of all) if (!places.has(record.position)) this.#goneOf(record)
      for (const record of all) {
        if (!record.gone || record.key === undefined || record.position < this.#floors[partition]!) continue
        const before = all.find(
          (one) => one.key === record.key && one.position < record.position && this.#here(one),
        )
        assert.equal(before, undefined, 'of a key the earlier go before the later')
      }
    }
  }

  /** What calls read one after the other, from a position on, while more may go. */
  pages(partition: number, from: number, found: readonly StreamRecord[]): void {
    this.#inOrder(found)
    const places = new Set(found.map(({ position }) => position))
    for (const record of this.#all[partition]!)
      if (record.position >= from && !places.has(record.position)) this.#goneOf(record)
  }

  key(key: string, fromVersion: number, limit: number, found: readonly StreamRecord[]): void {
    assert.ok(found.length <= limit)
    for (const record of found) this.#same(record)
    const versions = found.map(({ version }) => version!)
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    )
    const upto = found.length === limit ? versions.at(-1)! : Number.POSITIVE_INFINITY
    for (const record of this.#all.flat())
      if (record.key === key && record.version! >= fromVersion && record.version! <= upto)
        if (!versions.includes(record.version!)) this.#goneOf(record)
  }

  bounds(found: readonly PartitionBounds[]): void {
    assert.deepEqual(
      found.map(({ partition, next }) => [partition, next]),
      this.#all.map((all, partition) => [partition, all.length]),
    )
    for (const { partition, earliest, completeFrom = earliest } of found) {
      assert.ok(completeFrom <= earliest)
      for (const record of this.#all[partition]!) {
        if (record.position < earliest) this.#goneOf(record)
        // A trim may have found nothing more there.
        if (record.position >= completeFrom && record.position < this.#floors[partition]!)
          assert.ok(record.mayGo, `${partition}/${record.position} was trimmed, and is said to be kept`)
      }
    }
  }

  #inOrder(found: readonly StreamRecord[]): void {
    for (const [index, record] of found.entries()) {
      this.#same(record)
      assert.ok(index === 0 || record.position > found[index - 1]!.position, 'positions rise')
    }
  }

  #same({ partition, position, key, body, version }: StreamRecord): void {
    const record = this.#all[partition]![position]
    assert.deepEqual(
      { key, body, version },
      record && { key: record.key, body: record.body, version: record.version },
    )
    assert.ok(position >= this.#floors[partition]!, `${partition}/${position} was trimmed`)
    assert.ok(!record!.gone, `${partition}/${position} was gone, and is there again`)
  }

  #goneOf(record: Kept): void {
    if (record.position < this.#floors[record.partition]!) return
    assert.ok(record.mayGo, `${record.partition}/${record.position} of ${record.key} is lost`)
    record.gone = true
  }
}
