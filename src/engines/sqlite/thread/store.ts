// Runs operations on the file: a group of them in one transaction, so that they share one fsync.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SpillwayError } from '../../../core/errors.ts'
import { type Failure, failureOf, isBusy, isSyncFailure } from '../native-error.ts'
import { pause } from '../open-file.ts'
import {
  type Answer,
  type MemberNotice,
  type ReadOperation,
  spanWidth,
  type Wake,
  type WriteOperation,
} from '../wire.ts'
import { Groups } from './groups.ts'
import { Queues } from './queues.ts'
import { Retention } from './retention.ts'
import { Streams } from './streams.ts'
import type { Part, Transaction } from './transaction.ts'
import { Trims } from './trims.ts'

/** What may be forgotten after a power failure needs no fsync of its own; the next one covers it. */
const mayBeForgotten = new Set<WriteOperation['kind']>([
  'claim',
  'extend',
  'join',
  'leave',
  'rejoin',
  'givenUp',
  'trimFinished',
  // What is hidden goes in the end, whoever sweeps.
  'sweep',
  'retain',
])

export interface GroupResult {
  readonly answers: readonly Answer[]
  /** Of the records that were stored. */
  readonly bytes: number
  readonly wake: Wake | null
  /** Other processes have something to look at. */
  readonly wakeOthers: boolean
  /** Something may have changed for our own members. */
  readonly tellMembers: boolean
}

export interface StoreOptions {
  readonly path: string
  readonly synchronous: 'full' | 'off'
  readonly busyTimeoutMs: number
  /** Called again and again while another process holds the lock. */
  readonly whileLocked: () => void
}

export class Store {
  readonly slabs: Map<number, Uint8Array> = new Map()
  readonly groups: Groups
  readonly #db: DatabaseSync
  readonly #options: StoreOptions
  readonly #queues: Queues
  readonly #streams: Streams
  readonly #trims: Trims
  readonly #retention: Retention
  readonly #parts: readonly Part[]
  readonly #begin: StatementSync
  readonly #beginRead: StatementSync
  readonly #commit: StatementSync
  readonly #dataVersion: StatementSync
  readonly #partitionsOf: StatementSync
  readonly #namesOf: Readonly<Record<'queue' | 'stream' | 'group', StatementSync>>
  #knownVersion: unknown
  #synced = true
  /** Set once a sync has failed: what is written from then on could never be called durable. */
  broken: Failure | undefined

  constructor(db: DatabaseSync, options: StoreOptions) {
    this.#db = db
    this.#options = options
    this.#queues = new Queues(db)
    this.#streams = new Streams(db)
    this.#trims = new Trims(db)
    this.#retention = new Retention(db, this.#streams, this.#trims)
    this.groups = new Groups(db)
    this.#parts = [this.#queues, this.#streams, this.groups]
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#beginRead = db.prepare('BEGIN')
    this.#commit = db.prepare('COMMIT')
    this.#dataVersion = db.prepare('PRAGMA data_version')
    this.#partitionsOf = db.prepare('SELECT partitions FROM stream WHERE id = ?')
    this.#namesOf = {
      queue: db.prepare('SELECT name FROM queue ORDER BY name'),
      stream: db.prepare('SELECT name FROM stream ORDER BY name'),
      group: db.prepare('SELECT name FROM stream_group WHERE stream = ? ORDER BY name'),
    }
  }

  /** All operations in one transaction; if it fails for one of them, each in its own. */
  write(operations: readonly WriteOperation[], tick: boolean): GroupResult {
    try {
      return this.#group(operations, tick)
    } catch (thrown) {
      if (isSyncFailure(thrown)) this.broken = this.#failure(thrown)
      if (operations.length <= 1 || isBusy(thrown) || this.broken)
        return failed(operations, this.#failure(thrown))
      const results = operations.map((operation) => this.write([operation], false))
      return {
        answers: results.flatMap((result) => result.answers),
        bytes: results.reduce((sum, result) => sum + result.bytes, 0),
        wake: {
          queues: results.flatMap((result) => result.wake?.queues ?? []),
          streams: results.flatMap((result) => result.wake?.streams ?? []),
        },
        wakeOthers: results.some((result) => result.wakeOthers),
        tellMembers: results.some((result) => result.tellMembers),
      }
    }
  }

  /**
   * Claims of empty queues are answered without the lock: other processes may be waking us all the time. Undefined when
   * there is anything else to do.
   */
  #emptyClaims(operations: readonly WriteOperation[], tick: boolean): Answer[] | undefined {
    if (tick || operations.length === 0) return undefined
    const claims = operations.filter((operation) => operation.kind === 'claim')
    const now = Date.now()
    if (
      claims.length < operations.length ||
      claims.some(({ queue }) => this.#queues.claims.hasLikely(queue, now))
    )
      return undefined
    return this.#inSnapshot(() => {
      this.#noticeOthers()
      const answers: Answer[] = []
      for (const { queue } of claims) {
        const answer = this.#queues.claims.nothingToClaim(queue, now)
        if (answer === undefined) return undefined
        answers.push({ ok: answer })
      }
      return answers
    })
  }

  #group(operations: readonly WriteOperation[], tick: boolean): GroupResult {
    const empty = this.#emptyClaims(operations, tick)
    if (empty !== undefined) return { ...nothing, answers: empty }
    this.#setSync(operations.some((operation) => !mayBeForgotten.has(operation.kind)))
    this.#lock()
    const transaction: Transaction = {
      now: Date.now(),
      slabs: this.slabs,
      wakeQueues: new Set(),
      wakeStreams: new Set(),
      wakeMembers: false,
      tellGroups: false,
    }
    let answers: Answer[]
    try {
      this.#noticeOthers()
      answers = operations.map((operation) => this.#answer(() => this.#run(operation, transaction)))
      if (tick) this.groups.tick(transaction)
      for (const part of this.#parts) part.finish(transaction)
      this.#commit.run()
    } catch (thrown) {
      for (const part of this.#parts) part.forget(true)
      this.#retention.forget()
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw thrown
    }
    this.groups.confirm()
    const { wakeQueues, wakeStreams, wakeMembers, tellGroups } = transaction
    const wakes = wakeQueues.size > 0 || wakeStreams.size > 0
    return {
      answers,
      bytes: operations.reduce((sum, operation) => sum + bytesOf(operation), 0),
      wake: wakes ? { queues: [...wakeQueues], streams: [...wakeStreams] } : null,
      wakeOthers: wakes || wakeMembers,
      tellMembers: tellGroups,
    }
  }

  #setSync(synced: boolean): void {
    if (this.#synced === synced || this.#options.synchronous === 'off') return
    this.#db.exec(synced ? 'PRAGMA synchronous = FULL' : 'PRAGMA synchronous = NORMAL')
    this.#synced = synced
  }

  #lock(): void {
    this.#untilFree(() => this.#begin.run(), this.#options.whileLocked)
  }

  /** SQLite's own waiting sleeps for up to 100 ms at a time; other processes hold the lock for about one. */
  #untilFree(attempt: () => void, meanwhile?: () => void): void {
    for (const start = performance.now(); ; ) {
      try {
        attempt()
        return
      } catch (thrown) {
        if (!isBusy(thrown) || performance.now() - start > this.#options.busyTimeoutMs) throw thrown
      }
      meanwhile?.()
      pause(0.1 + Math.random())
    }
  }

  /** Looks at one state of the file. Nobody's writing is in the way of that, only the recovery after somebody's crash. */
  #inSnapshot<T>(look: () => T): T {
    this.#untilFree(() => {
      this.#beginRead.run()
      try {
        this.#dataVersion.get()
      } catch (thrown) {
        this.#db.exec('ROLLBACK')
        throw thrown
      }
    })
    try {
      return look()
    } finally {
      if (this.#db.isTransaction) this.#commit.run()
    }
  }

  #noticeOthers(): void {
    const version = this.#dataVersion.get()!.data_version
    if (version === this.#knownVersion) return
    this.#knownVersion = version
    for (const part of this.#parts) part.forget(false)
  }

  /** An operation refuses by throwing a SpillwayError before it writes; anything else ends the transaction. */
  #answer(run: () => unknown): Answer {
    try {
      return { ok: run() }
    } catch (thrown) {
      if (!(thrown instanceof SpillwayError)) throw thrown
      return { failure: this.#failure(thrown) }
    }
  }

  #failure(thrown: unknown): Failure {
    return failureOf(thrown, this.#options.path)
  }

  #run(operation: WriteOperation, transaction: Transaction): unknown {
    switch (operation.kind) {
      case 'declareQueues':
        return this.#queues.declare(operation, transaction)
      case 'send':
        return this.#queues.send(operation, transaction)
      case 'claim':
        return this.#queues.claims.claim(operation, transaction)
      case 'settle':
        return this.#queues.settle(operation, transaction)
      case 'extend':
        return this.#queues.extend(operation, transaction)
      case 'redrive':
        return this.#queues.redrive(operation, transaction)
      case 'pause':
        return this.#queues.pause(operation, transaction)
      case 'cancel':
        return this.#queues.cancel(operation, transaction)
      case 'purge':
        return this.#queues.purge(operation, transaction)
      case 'putSchedule':
        return this.#queues.putSchedule(operation, transaction)
      case 'removeSchedule':
        return this.#queues.removeSchedule(operation)
      case 'trimFinished':
        return this.#queues.trimFinished(operation, transaction)
      case 'declareStream':
        return this.#streams.declare(operation)
      case 'append':
        return this.#streams.append(operation, transaction)
      case 'appendVersions':
        return this.#streams.appendVersions(operation, transaction)
      case 'trim':
        return this.#streams.trim(operation)
      case 'sweep':
        return this.#trims.sweep(operation.stream)
      case 'retain':
        return this.#retention.step(transaction.now)
      case 'join':
        return this.groups.join(operation, this.#partitions(operation.stream), transaction)
      case 'leave':
        return this.groups.leave(operation, transaction)
      case 'rejoin':
        return this.groups.rejoin(operation, transaction)
      case 'givenUp':
        return this.groups.givenUp(operation, transaction)
      case 'commit':
        return this.groups.commit(operation)
    }
  }

  /** All reads in one snapshot. */
  read(operations: readonly ReadOperation[]): Answer[] {
    try {
      return this.#inSnapshot(() => {
        this.#noticeOthers()
        return operations.map((operation) => {
          try {
            return { ok: this.#look(operation) }
          } catch (thrown) {
            return { failure: this.#failure(thrown) }
          }
        })
      })
    } catch (thrown) {
      return operations.map(() => ({ failure: this.#failure(thrown) }))
    }
  }

  /** Whether there is anything that need not be kept any longer. */
  get retains(): boolean {
    return this.#inSnapshot(() => this.#retention.isDue(Date.now()))
  }

  /** What our members are to be told. Apart from the writing: that is done, whatever becomes of this. */
  tell(): MemberNotice[] {
    return this.#inSnapshot(() => this.groups.tell())
  }

  #look(operation: ReadOperation): unknown {
    switch (operation.kind) {
      case 'findQueue':
        return this.#queues.find(operation.name)
      case 'queueNames':
        return this.#namesOf.queue.all().map(({ name }) => name)
      case 'peek':
        return this.#queues.peek(operation, Date.now())
      case 'finished':
        return this.#queues.finished(operation, Date.now())
      case 'count':
        return this.#queues.count(operation.queue, Date.now())
      case 'schedules':
        return this.#queues.schedules(operation.queue, operation.which, Date.now())
      case 'deadLetters':
        return this.#queues.deadLetters(operation.queue, operation.limit, operation.after)
      case 'findStream':
        return this.#streams.find(operation.name)
      case 'streamNames':
        return this.#namesOf.stream.all().map(({ name }) => name)
      case 'read':
        return this.#streams.read(operation.stream, operation.from, operation.maxRecords, operation.maxBytes)
      case 'readKey':
        return this.#streams.readKey(operation.stream, operation.key, operation.fromVersion, operation.limit)
      case 'bounds':
        return this.#streams.bounds(operation.stream, this.#partitions(operation.stream))
      case 'positionsAt':
        return Array.from({ length: this.#partitions(operation.stream) }, (_, partition) =>
          this.#streams.positionAt(operation.stream, partition, operation.time),
        )
      case 'committed':
        return this.groups.committed(operation.stream, operation.group, this.#partitions(operation.stream))
      case 'groupNames':
        return this.#namesOf.group.all(operation.stream).map(({ name }) => name)
    }
  }

  #partitions(stream: number): number {
    return Number(this.#partitionsOf.get(stream)!.partitions)
  }
}

const nothing = { bytes: 0, wake: null, wakeOthers: false, tellMembers: false }

function failed(operations: readonly WriteOperation[], failure: Failure): GroupResult {
  return { ...nothing, answers: operations.map(() => ({ failure })) }
}

function bytesOf(operation: WriteOperation): number {
  if (operation.kind === 'putSchedule') return bytesOf(operation.send)
  if (!('spans' in operation)) return 0
  let bytes = 0
  for (let at = 2; at < operation.spans.length; at += spanWidth) bytes += operation.spans[at]!
  return bytes
}
