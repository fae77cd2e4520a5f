// The buckets in their file: requests are decided by the arithmetic of `core/bucket`, several calls in one transaction.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Algorithm } from '../../../core/bucket/algorithm.ts'
import { bucketOf } from '../../../core/bucket/algorithm.ts'
import { exchange, freshBucket, isForgotten, type SharedBucket } from '../../../core/bucket/exchange.ts'
import type { LimitExchange, LimitVerdict } from '../../../ports/limit.ts'
import { damaged, type Failure, failureOf, isBusy } from '../native-error.ts'
import { pause } from '../open-file.ts'
import { type ClockMark, type MachineTime, machineTime, markOf, timeBy } from './boot-clock.ts'
import type { LimitAnswer, LimitCall } from './wire.ts'

export interface LimitStoreOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly time?: MachineTime
}

/** Buckets that one sweep looks at. */
export const sweptAtOnce = 500
const markEveryUs = 1_000_000

export class LimitStore {
  readonly #db: DatabaseSync
  readonly #options: LimitStoreOptions
  readonly #time: MachineTime
  readonly #find: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #page: StatementSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  /** What this process goes by; known from its first transaction on, and the same until the next boot. */
  #mark: ClockMark | undefined
  /** Where the next sweep begins. */
  #swept = ''

  constructor(db: DatabaseSync, options: LimitStoreOptions) {
    this.#db = db
    this.#options = options
    this.#time = options.time ?? machineTime
    this.#find = db.prepare('SELECT algorithm, numbers, leases FROM bucket WHERE name = ?')
    this.#put = db.prepare(
      'INSERT INTO bucket VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET algorithm = ?2, numbers = ?3, leases = ?4',
    )
    this.#remove = db.prepare('DELETE FROM bucket WHERE name = ?')
    this.#page = db.prepare(
      `SELECT name, algorithm, numbers, leases FROM bucket WHERE name > ? ORDER BY name LIMIT ${sweptAtOnce}`,
    )
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
  }

  /** All calls in one transaction; when it fails because of one of them, each in its own. `gather` is asked for more once the lock is ours. */
  answer(calls: LimitCall[], gather: () => void = () => {}): LimitAnswer[] {
    try {
      return this.#transact(() => {
        gather()
        const nowUs = this.#nowUs()
        const buckets = new Map<string, SharedBucket>()
        const answers = calls.map((call) => ({
          ok: call === 'sweep' ? this.#sweep(buckets, nowUs) : this.#exchange(call, buckets, nowUs),
        }))
        for (const [name, bucket] of buckets) this.#keep(name, bucket)
        return answers
      })
    } catch (thrown) {
      if (calls.length > 1 && !isBusy(thrown)) return calls.flatMap((call) => this.answer([call]))
      const failure: Failure = failureOf(thrown, this.#options.path)
      return calls.map(() => ({ failure }))
    }
  }

  #exchange(
    requests: readonly LimitExchange[],
    buckets: Map<string, SharedBucket>,
    nowUs: number,
  ): LimitVerdict[] {
    return requests.map((request) =>
      exchange(
        request.asks.map(({ bucket, algorithm }) => {
          const known = buckets.get(bucket) ?? this.#bucketOf(bucket) ?? freshBucket(algorithm)
          buckets.set(bucket, known)
          return known
        }),
        request,
        nowUs,
      ),
    )
  }

  #sweep(buckets: Map<string, SharedBucket>, nowUs: number): number {
    const rows = this.#page.all(this.#swept) as unknown as (BucketRow & { readonly name: string })[]
    // Our clock may be ahead of the askers' for good: once the wall clock was.
    const timeOfDayUs = Math.min(nowUs, this.#time.wallUs())
    let count = 0
    for (const row of rows) {
      // What is asked in the same transaction is kept.
      if (buckets.has(row.name) || !isForgotten(read(row), nowUs, timeOfDayUs)) continue
      this.#remove.run(row.name)
      count += 1
    }
    this.#swept = rows.length < sweptAtOnce ? '' : rows.at(-1)!.name
    return count
  }

  #bucketOf(name: string): SharedBucket | undefined {
    const row = this.#find.get(name) as BucketRow | undefined
    return row && read(row)
  }

  #keep(name: string, { algorithm, numbers, leases }: SharedBucket): void {
    this.#put.run(
      name,
      JSON.stringify(algorithm),
      new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength),
      leases.length === 0
        ? null
        : JSON.stringify(leases.map(({ holder, units, endsUs }) => [holder, units, endsUs])),
    )
  }

  /** Of this transaction: nobody else writes, so it is not before any that was written. */
  #nowUs(): number {
    const known = this.#mark ?? markOf(this.#readMark(), this.#time)
    const nowUs = timeBy(known, this.#time)
    if (this.#mark === undefined || nowUs - known.lastUs >= markEveryUs) {
      const { boot, aheadUs } = known
      this.#db
        .prepare('INSERT OR REPLACE INTO clock (id, boot, ahead_us, last_us) VALUES (1, ?, ?, ?)')
        .run(boot, aheadUs, nowUs)
      this.#mark = { ...known, lastUs: nowUs }
    }
    return nowUs
  }

  #readMark(): ClockMark | undefined {
    return this.#db
      .prepare('SELECT boot, ahead_us AS aheadUs, last_us AS lastUs FROM clock')
      .get() as unknown as ClockMark | undefined
  }

  #transact<T>(act: () => T): T {
    this.#lock()
    const mark = this.#mark
    try {
      const result = act()
      this.#commit.run()
      return result
    } catch (thrown) {
      this.#mark = mark
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw thrown
    }
  }

  /** SQLite's own waiting sleeps for up to 100 ms at a time; other processes hold the lock for a fraction of one. */
  #lock(): void {
    for (const start = performance.now(); ; ) {
      try {
        this.#begin.run()
        return
      } catch (thrown) {
        if (!isBusy(thrown) || performance.now() - start > this.#options.busyTimeoutMs) throw thrown
      }
      pause(0.1 + Math.random() * 0.4)
    }
  }
}

interface BucketRow {
  readonly algorithm: string
  readonly numbers: Uint8Array
  readonly leases: string | null
}

function read(row: BucketRow): SharedBucket {
  const algorithm = JSON.parse(row.algorithm) as Algorithm
  const size = bucketOf(algorithm).size(algorithm)
  if (row.numbers.length !== size * 8) throw damaged(`a bucket has ${row.numbers.length} bytes of numbers`)
  const numbers = new Float64Array(size)
  new Uint8Array(numbers.buffer).set(row.numbers)
  const leases = row.leases === null ? [] : (JSON.parse(row.leases) as [string, number, number][])
  return { algorithm, numbers, leases: leases.map(([holder, units, endsUs]) => ({ holder, units, endsUs })) }
}
