// Appending: what the process appends at the same time goes as one call of the function that gives the positions.
import { sleep, systemClock } from '../../core/clock.ts'
import { isSpillwayError, type SpillwayError } from '../../core/errors.ts'
import type { Producer } from '../../ports/producer.ts'
import type { AppendRecord, AppendResult } from '../../ports/stream.ts'
import { int4Array, int8Array, textArray } from './arrays.ts'
import type { Connection, Statement, Value } from './connection.ts'
import { sqlState } from './errors.ts'
import { GroupCommit } from './group-commit.ts'

export interface Append {
  readonly stream: number
  readonly records: readonly AppendRecord[]
}

/** Raised by the functions when a stream began or ceased to keep versions since this process looked. */
export const declaredAnew = 'SW001'
const uniqueViolation = '23505'
/** How often a call that may be repeated is made when the server is away. */
const attemptsOnce = 6
/** How often an append meets another one of the same key in another partition before it gives up. */
const attempts = 20

/** Gathers the different (number, text) pairs of a batch and numbers them from 1. */
class Slots<Name extends string | number> {
  readonly first: number[] = []
  readonly second: Name[] = []
  readonly #slots = new Map<number, Map<Name, number>>()

  slot(first: number, second: Name): number {
    let inner = this.#slots.get(first)
    if (inner === undefined) {
      inner = new Map()
      this.#slots.set(first, inner)
    }
    let slot = inner.get(second)
    if (slot === undefined) {
      slot = this.first.push(first)
      this.second.push(second)
      inner.set(second, slot)
    }
    return slot
  }
}

/** The partitions of a batch in ascending order: everyone locks them in the same one. */
function headsOf(calls: readonly Append[]): Slots<number> {
  const pairs = calls.flatMap(({ stream, records }) =>
    records.map(({ partition }) => ({ stream, partition })),
  )
  const heads = new Slots<number>()
  for (const { stream, partition } of pairs.sort((a, b) => a.stream - b.stream || a.partition - b.partition))
    heads.slot(stream, partition)
  return heads
}

export class Appends {
  readonly #connection: Connection
  readonly #append: Statement
  readonly #appendVersions: Statement
  readonly #appendOnce: Statement
  readonly #appendVersionsOnce: Statement
  readonly #stored: (streams: ReadonlySet<number>) => void
  readonly plain: GroupCommit<Append, AppendResult>
  readonly versioned: GroupCommit<Append, AppendResult>

  /** `stored` is told which streams got records, after the commit. */
  constructor(connection: Connection, schema: string, stored: (streams: ReadonlySet<number>) => void) {
    this.#connection = connection
    this.#append = {
      name: 'spillway_append',
      text: `select unnest(${schema}.append($1, $2, $3, $4, $5, $6, $7))::float8 as first`,
    }
    this.#appendVersions = {
      name: 'spillway_append_versions',
      text: `select positions::float8[], conflicts, actual::float8[] from ${schema}.append_versions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    }
    this.#appendOnce = {
      name: 'spillway_append_once',
      text: `select stored::float8, firsts::float8[] from ${schema}.append_once($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    }
    this.#appendVersionsOnce = {
      name: 'spillway_append_versions_once',
      text: `select stored::float8, positions::float8[], conflicts, actual::float8[]
from ${schema}.append_versions_once($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    }
    this.#stored = stored
    const told =
      (run: (calls: readonly Append[]) => Promise<AppendResult[]>) => async (calls: readonly Append[]) => {
        const results = await run(calls)
        stored(new Set(calls.map((call) => call.stream)))
        return results
      }
    this.plain = new GroupCommit({ run: told((calls) => this.#runPlain(calls)), weigh: weight })
    this.versioned = new GroupCommit({ run: told((calls) => this.#runVersioned(calls)), weigh: weight })
  }

  async close(): Promise<void> {
    await Promise.all([this.plain.close(), this.versioned.close()])
  }

  /**
   * A call that may be repeated goes alone, and is repeated here when its answer was lost: a `duplicate` is then what this very call
   * stored before.
   */
  async once(call: Append, producer: Producer, versions: boolean): Promise<AppendResult> {
    const who = [call.stream, producer.id, producer.sequence]
    for (let attempt = 1; ; attempt++) {
      try {
        const result = versions ? await this.#versionedOnce(call, who) : await this.#plainOnce(call, who)
        this.#stored(new Set([call.stream]))
        return result
      } catch (thrown) {
        if (!isSpillwayError(thrown, 'ENGINE_UNAVAILABLE') || attempt === attemptsOnce) throw thrown
        await sleep(systemClock, 100 * 2 ** attempt)
      }
    }
  }

  async #plainOnce(call: Append, who: readonly Value[]): Promise<AppendResult> {
    const { values, resultsOf } = plainCall([call])
    type Row = { readonly stored: number | null; readonly firsts: readonly number[] }
    const [row] = await this.#connection.run<Row>(this.#appendOnce, [...who, ...values])
    if (row!.stored !== null) return { status: 'duplicate', sequence: row!.stored }
    return resultsOf(row!.firsts)[0]!
  }

  async #versionedOnce(call: Append, who: readonly Value[]): Promise<AppendResult> {
    const values = [...who, ...versionedValues([call])]
    const row = await this.#tryVersioned(this.#appendVersionsOnce, values)
    if (row.stored != null) return { status: 'duplicate', sequence: row.stored }
    return versionedResults([call], row)[0]!
  }

  async #runPlain(calls: readonly Append[]): Promise<AppendResult[]> {
    const { values, resultsOf } = plainCall(calls)
    const rows = await this.#connection.run<{ first: number }>(this.#append, values)
    return resultsOf(rows.map(({ first }) => first))
  }

  async #runVersioned(calls: readonly Append[]): Promise<AppendResult[]> {
    return versionedResults(calls, await this.#tryVersioned(this.#appendVersions, versionedValues(calls)))
  }

  /** The head's lock keeps the versions of a key apart, unless callers put the key into different partitions: then the index does. */
  async #tryVersioned(statement: Statement, values: readonly Value[]): Promise<VersionedRow> {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.#connection.run<VersionedRow>(statement, values))[0]!
      } catch (thrown) {
        const state = sqlState((thrown as SpillwayError).cause)
        if (state !== uniqueViolation || attempt === attempts) throw thrown
      }
    }
  }
}

/** The parameters of the plain function for these calls, and what its answer means for each of them. */
function plainCall(calls: readonly Append[]): {
  readonly values: Value[]
  resultsOf(firsts: readonly number[]): AppendResult[]
} {
  const heads = headsOf(calls)
  const counts: number[] = heads.first.map(() => 0)
  const slots: number[] = []
  const offsets: number[] = []
  for (const { stream, records } of calls)
    for (const { partition } of records) {
      const slot = heads.slot(stream, partition)
      slots.push(slot)
      offsets.push(counts[slot - 1]!++)
    }
  const records = calls.flatMap((call) => call.records)
  return {
    values: [
      int4Array(heads.first),
      int4Array(heads.second),
      int4Array(slots),
      int4Array(offsets),
      textArray(records.map((record) => record.key)),
      textArray(records.map((record) => record.body)),
      tombstonesOf(records),
    ],
    resultsOf(firsts) {
      let at = 0
      return calls.map((call) => ({
        status: 'appended',
        positions: call.records.map(() => firsts[slots[at]! - 1]! + offsets[at++]!),
      }))
    },
  }
}

/** Which of the records, counted from 1. */
function tombstonesOf(records: readonly AppendRecord[]): Buffer {
  return int4Array(records.flatMap(({ tombstone }, index) => (tombstone ? [index + 1] : [])))
}

function versionedValues(calls: readonly Append[]): Value[] {
  const heads = headsOf(calls)
  const keys = new Slots<string>()
  const callOf: number[] = []
  const slots: number[] = []
  const keySlots: (number | undefined)[] = []
  calls.forEach(({ stream, records }, call) => {
    for (const { partition, key } of records) {
      callOf.push(call + 1)
      slots.push(heads.slot(stream, partition))
      keySlots.push(key === undefined ? undefined : keys.slot(stream, key))
    }
  })
  const records = calls.flatMap((call) => call.records)
  return [
    int4Array(heads.first),
    int4Array(heads.second),
    int4Array(keys.first),
    textArray(keys.second),
    int4Array(callOf),
    int4Array(slots),
    int4Array(keySlots),
    int8Array(records.map((record) => record.expectedVersion)),
    textArray(records.map((record) => record.key)),
    textArray(records.map((record) => record.body)),
    tombstonesOf(records),
  ]
}

function versionedResults(calls: readonly Append[], row: VersionedRow): AppendResult[] {
  const conflicts = new Map(row.conflicts?.map((place, index) => [place - 1, row.actual![index]!]))
  let start = 0
  return calls.map((call): AppendResult => {
    const from = start
    start += call.records.length
    for (let place = from; place < start; place++) {
      const version = conflicts.get(place)
      if (version !== undefined) return { status: 'conflict', index: place - from, version }
    }
    return { status: 'appended', positions: row.positions.slice(from, start) }
  })
}

interface VersionedRow {
  /** Only of a call that names its producer. */
  readonly stored?: number | null
  readonly positions: readonly number[]
  /** Places counted from 1. */
  readonly conflicts: readonly number[] | null
  readonly actual: readonly number[] | null
}

function weight(append: Append): number {
  return append.records.reduce((sum, record) => sum + record.body.length + 100, 0)
}
