// What the cases of the database port start from: a database, names of their own, and short ways to write units.
import assert from 'node:assert/strict'
import type {
  CommitUnit,
  Database,
  Destination,
  HeldPartition,
  OutboxMessage,
  OutboxRow,
  Progress,
} from '../../../ports/database.ts'
import type { ConformanceCase } from '../case.ts'
import type { DatabaseSubject, OpenDatabase } from '../database-subject.ts'
import { fresh, numbers } from '../sample.ts'

export type DatabaseCase = ConformanceCase<DatabaseSubject>

type Effects = (db: unknown) => unknown

export interface DatabaseBench extends OpenDatabase {
  /** Names that this case alone uses: a consumer, a stream, a group, and the beginning of the ids of its rows. */
  readonly consumer: string
  readonly stream: string
  readonly group: string
  readonly prefix: string
  /** Effects that run the steps one after another, as the driver has it: in one go, or awaiting each. */
  effects(...steps: readonly Effects[]): Effects
  /** Effects that insert rows. */
  inserting(...ids: readonly string[]): Effects
  /** How many rows of this case there are. */
  rows(): Promise<number>
}

export function databaseBench(
  subject: DatabaseSubject,
  database: OpenDatabase = subject.shared,
): DatabaseBench {
  const { test, one } = database
  const prefix = fresh('row')
  const effects = (...steps: readonly Effects[]): Effects => {
    if (subject.driver === 'synchronous')
      return (db) => {
        for (const step of steps) step(db)
      }
    return async (db) => {
      for (const step of steps) await step(db)
    }
  }
  return {
    ...database,
    consumer: fresh('consumer'),
    stream: fresh('stream'),
    group: fresh('group'),
    prefix,
    effects,
    inserting: (...ids) => effects(...ids.map((id) => (db: unknown) => test.insert(db, `${prefix}-${id}`))),
    rows: () => test.count(one.db, prefix),
  }
}

/** A bench on a database that no other case uses: for the outbox, whose rows and lock are the database's own. */
export async function ownBench(subject: DatabaseSubject): Promise<DatabaseBench & AsyncDisposable> {
  const database = await subject.create()
  return {
    ...databaseBench(subject, database),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}

/** A unit with nothing in it but what is given. */
export function unit(parts: Partial<CommitUnit<unknown>>): CommitUnit<unknown> {
  return { outbox: [], timeoutMs: 20_000, ...parts }
}

export function inbox(
  bench: DatabaseBench,
  id: string,
): { readonly consumer: string; readonly ids: readonly string[] } {
  return { consumer: bench.consumer, ids: [id] }
}

/** Progress of partition 0 of the bench's stream. */
export function progress(
  bench: DatabaseBench,
  generation: number,
  finished: number | undefined,
  low: number,
  sequences: Readonly<Record<string, number>> = {},
): Progress {
  return { stream: bench.stream, group: bench.group, partition: 0, generation, finished, low, sequences }
}

export function acquire(
  bench: DatabaseBench,
  database: Database<unknown> = bench.one,
): Promise<HeldPartition> {
  return database.acquire(bench.stream, bench.group, 0)
}

export const toQueue: Destination = { kind: 'queue', name: 'receipts' }
export const toStream: Destination = { kind: 'stream', name: 'orders' }

/** Outbox messages `prefix0`, `prefix1`, … */
export function outgoing(count: number, destination: Destination = toQueue, prefix = 'o'): OutboxMessage[] {
  return numbers(count).map((index) => ({
    destination,
    id: `${prefix}${index}`,
    key: index % 2 ? `key-${index}` : undefined,
    body: `{"n":${index}}`,
  }))
}

export const relay = 'relay-1'
export const longLockMs = 120_000

/** Takes as the holder of the lock. */
export async function takeRows(
  database: Database<unknown>,
  destination: Destination = toQueue,
  limit = 1_000,
): Promise<OutboxRow[]> {
  assert.equal(await database.outbox.lock(relay, longLockMs), true, 'the lock is free')
  return database.outbox.take(relay, destination, limit)
}

export function rowIds(rows: readonly { readonly id: string }[]): string[] {
  return rows.map(({ id }) => id)
}

/** Fails unless the sequences rise. */
export function rising(rows: readonly OutboxRow[]): void {
  for (const [index, { sequence }] of rows.entries()) {
    assert.ok(Number.isSafeInteger(sequence) && sequence >= 1, `sequence ${sequence}`)
    if (index > 0) assert.ok(sequence > rows[index - 1]!.sequence, 'sequences rise')
  }
}
