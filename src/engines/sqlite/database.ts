// The transaction seam on SQLite: a service's own file, on the service's own thread, because its effects are synchronous
// functions on its own handle. Units that end in the same turn of the event loop share one transaction; while their log
// is synced on another thread the next ones are committed. A unit alone is synced in place where the disk is quick.
import { AsyncLocalStorage } from 'node:async_hooks'
import { dirname, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { SpillwayError } from '../../core/errors.ts'
import type {
  CommitOutcome,
  CommitUnit,
  Database,
  DatabaseSource,
  Handled,
  HeldPartition,
  JoinedOutbox,
  OutboxPort,
  Progress,
  Rewind,
} from '../../ports/database.ts'
import type { ParkingPort } from '../../ports/parking.ts'
import type { SagaPort } from '../../ports/saga.ts'
import { databaseSchema, servicesIn, tablePrefix } from './database-migrations.ts'
import { applyRewind, applyUnit, prepareUnit, type UnitStatements } from './database-unit.ts'
import type { SqliteHandle } from './handle.ts'
import { inTransaction } from './in-transaction.ts'
import { InboxPruning } from './inbox-pruning.ts'
import { joinOutbox } from './join.ts'
import { makeFolder } from './make-folder.ts'
import { isBusy, isNative, translate } from './native-error.ts'
import { lookInto, migrate, openFile } from './open-file.ts'
import { SqliteOutbox } from './outbox.ts'
import { SqliteParking } from './parking.ts'
import { SqliteSagas } from './sagas.ts'
import { WalSync } from './wal-sync.ts'

export interface SqliteDatabaseOptions<Db> {
  /** Runs once at opening, before anything else: the place to create or migrate the service's own tables. */
  readonly setup?: (db: Db) => void
}

/** How long a write waits for another process's lock, without blocking the event loop. */
const lockTimeoutMs = 10_000
const busyTimeoutMs = 5_000
const maxUnits = 200
/** So many units in a row have to come alone before one is synced in place: while it is, nothing else of the process goes on. */
const aloneFirst = 8
/** How many units wait for their transaction at most. */
const maxWaiting = 10_000

/**
 * A service's database in an SQLite file, which Spillway opens (with its folder) and closes; or a handle of one's own
 * (node:sqlite or better-sqlite3, in WAL mode), which stays open. It is set to `synchronous=FULL`.
 */
export function sqliteDatabase(
  path: string,
  options?: SqliteDatabaseOptions<DatabaseSync>,
): DatabaseSource<DatabaseSync>
export function sqliteDatabase<Db extends SqliteHandle>(
  handle: Db,
  options?: SqliteDatabaseOptions<Db>,
): DatabaseSource<Db>
export function sqliteDatabase(
  source: string | SqliteHandle,
  options: SqliteDatabaseOptions<never> = {},
): DatabaseSource<SqliteHandle> {
  return {
    inboxEngine: () =>
      typeof source === 'string' && source !== ':memory:' && !source.includes('?')
        ? `sqlite:${source}.inbox`
        : undefined,
    async find(service) {
      tablePrefix(service)
      // Which file a URI means is for SQLite to say.
      if (typeof source === 'string' && (source.startsWith('file:') || source.includes('?'))) return undefined
      const services =
        typeof source === 'string'
          ? translated(source, () => lookInto(source, servicesIn) ?? [])
          : servicesIn(source)
      return { isThere: services.includes(service), services }
    },
    async open(service) {
      const prefix = tablePrefix(service)
      const schema = databaseSchema(prefix)
      const setup = options.setup as ((db: SqliteHandle) => void) | undefined
      const take = (handle: SqliteHandle, name: string, owned: boolean) =>
        translated(name, () => new SqliteDatabase(handle, prefix, name, owned))
      if (typeof source !== 'string') {
        const name = `sqlite (handle of ${service})`
        translated(name, () => {
          source.exec('PRAGMA synchronous = FULL')
          migrate(withState(source), name, schema)
        })
        setup?.(source)
        return take(source, name, false)
      }
      makeFolder(resolve(dirname(source)))
      const settings = { synchronous: 'full' as const, openTimeoutMs: 10_000, busyTimeoutMs }
      const handle = openFile(source, schema, settings)
      try {
        setup?.(handle)
        return take(handle, source, true)
      } catch (thrown) {
        handle.close()
        throw thrown
      }
    },
  }
}

function translated<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw translate(thrown, name)
  }
}

/** The one property that the two drivers name differently. */
function withState(handle: SqliteHandle): DatabaseSync {
  return {
    exec: (sql: string) => handle.exec(sql),
    prepare: (sql: string) => handle.prepare(sql),
    get isTransaction() {
      return inTransaction(handle)
    },
  } as unknown as DatabaseSync
}

/** The file behind a handle in WAL mode; undefined for one in memory or in another mode. */
function fileOf(handle: SqliteHandle): string | undefined {
  const mode = handle.prepare('PRAGMA journal_mode').get() as { journal_mode: string }
  if (mode.journal_mode !== 'wal') return undefined
  // As SQLite itself opened it: absolute, with no links. A handle may say what it was given.
  const files = handle.prepare('PRAGMA database_list').all() as { name: string; file: string | null }[]
  return files.find(({ name }) => name === 'main')?.file || undefined
}

/** A violation of such a key shows at COMMIT only: units that share one would fail for each other's. */
const deferredKeys = `SELECT 1 FROM sqlite_master WHERE sql LIKE '%INITIALLY DEFERRED%' LIMIT 1`

/** What node:sqlite asks before it compiles a statement; older versions of Node do not. */
interface Authorizing {
  setAuthorizer?(decide: (action: number) => number): void
}
const authorizer = { allow: 0, deny: 1, transaction: 22 } as const

/** For effects whose caller's context is there. */
const inPlace = <T>(work: () => T): T => work()

interface Waiting {
  readonly unit: CommitUnit<SqliteHandle>
  /** Its transaction runs in another's turn: what the effects see is the context of their own caller all the same. */
  readonly inContext: <T>(work: () => T) => T
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (error: unknown) => void
}

class SqliteDatabase implements Database<SqliteHandle> {
  readonly name: string
  readonly db: SqliteHandle
  readonly outbox: OutboxPort
  readonly parking: ParkingPort
  readonly sagas: SagaPort
  readonly #prefix: string
  readonly #owned: boolean
  /** How long the handle waits for locks when others use it. */
  readonly #patienceMs: number
  readonly #maxUnits: number
  /** While effects run; and whether they tried to end the transaction. */
  #inEffects = false
  #tampered = false
  readonly #statements: UnitStatements
  readonly #inbox: InboxPruning
  /** Without one, for a handle that is in no file or not in WAL mode, every commit syncs by itself. */
  readonly #wal: WalSync | undefined
  /** How many units in a row came while no other was on its way. */
  #alone = 0
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(db: SqliteHandle, prefix: string, name: string, owned: boolean) {
    this.db = db
    this.name = name
    this.#prefix = prefix
    this.#owned = owned
    this.#maxUnits = db.prepare(deferredKeys).get() === undefined ? maxUnits : 1
    if (owned) this.#guard(db as Authorizing)
    this.#patienceMs = (db.prepare('PRAGMA busy_timeout').get() as { timeout: number }).timeout
    this.#statements = prepareUnit(db, prefix)
    const file = fileOf(db)
    this.#wal = file === undefined ? undefined : new WalSync(`${file}-wal`)
    this.parking = new SqliteParking(this.#statements, () => this.#checkOpen())
    this.sagas = new SqliteSagas(
      this.#statements,
      () => this.#checkOpen(),
      (work) => this.#write(false, work),
    )
    this.#inbox = new InboxPruning(this.#statements, (work) => this.#write(false, work))
    this.outbox = new SqliteOutbox(
      db,
      prefix,
      (durable, work) => this.#write(durable, work),
      () => this.#synced(),
      () => this.#checkOpen(),
    )
  }

  /** Where the driver can, only the unit fails that tries to end the transaction which it shares with others. */
  #guard(db: Authorizing): void {
    db.setAuthorizer?.((action) => {
      if (!this.#inEffects || action !== authorizer.transaction) return authorizer.allow
      this.#tampered = true
      return authorizer.deny
    })
  }

  commit(unit: CommitUnit<SqliteHandle>): Promise<CommitOutcome> {
    if (this.#closing) return Promise.reject(this.#closedError())
    if (this.#waiting.length >= maxWaiting) return Promise.reject(this.#backlogFull())
    // The flush that this one begins has the context of its caller already.
    const inContext = this.#flushing ? (AsyncLocalStorage.snapshot() as Waiting['inContext']) : inPlace
    return new Promise((resolve, reject) => {
      this.#waiting.push({ unit, inContext, resolve, reject })
      this.#flushing ??= new Promise<void>((turn) => setImmediate(turn)).then(() => this.#flush())
    })
  }

  async handled(consumer: string, ids: readonly string[]): Promise<Handled> {
    this.#checkOpen()
    const seen = new Set(ids.filter((id) => this.#statements.seen.get(consumer, id) !== undefined))
    // The caller will settle these: what it relies on must be durable, also when another process committed it.
    const prunedUpTo = this.#inbox.prunedUpTo()
    if (seen.size > 0) await this.#synced()
    return { ids: seen, prunedUpTo }
  }

  async answer(consumer: string, id: string): Promise<string | undefined> {
    this.#checkOpen()
    const row = this.#statements.answer.get(consumer, id) as { answer: string | null } | undefined
    // The caller will tell it to others.
    if (row !== undefined) await this.#synced()
    return row?.answer ?? undefined
  }

  acquire(stream: string, group: string, partition: number): Promise<HeldPartition> {
    return this.#write(true, () => {
      const row = this.#statements.raise.get(stream, group, partition) as {
        generation: number
        position: number | null
        sequences: string
      }
      const finished = this.#statements.finishedOf.all(stream, group, partition, row.position ?? 0) as {
        position: number
      }[]
      return {
        generation: row.generation,
        position: row.position,
        finished: finished.map(({ position }) => position),
        sequences: JSON.parse(row.sequences) as Record<string, number>,
      }
    })
  }

  rewind(order: Progress, to: Rewind): Promise<CommitOutcome> {
    return this.#write(true, () => applyRewind(this.#statements, order, to))
  }

  join(tx: unknown): JoinedOutbox {
    this.#checkOpen()
    return joinOutbox(this.#prefix, this.outbox.producerId, this.name, tx)
  }

  prune(before: number): Promise<number> {
    return this.#inbox.prune(before)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    while (this.#flushing) await this.#flushing
    await this.#wal?.close()
    if (this.#owned) this.db.close()
  }

  async #flush(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await this.#flushSome(this.#waiting.splice(0, this.#maxUnits))
        // Whoever commits again as soon as it is answered must not keep everybody else of the process from their turn.
        if (this.#alone > aloneFirst && this.#waiting.length > 0) await nextTurn()
      }
    } finally {
      this.#flushing = undefined
    }
  }

  /** One transaction for some units, each under a savepoint of its own: a failing one leaves the others untouched. */
  async #flushSome(group: readonly Waiting[]): Promise<void> {
    const endings: (() => void)[] = []
    const fail = (thrown: unknown): void => {
      for (const { reject } of group) reject(thrown)
    }
    try {
      await this.#transact(true, () => {
        endings.length = 0
        for (const waiting of group) endings.push(this.#apply(waiting))
      })
    } catch (thrown) {
      return fail(thrown)
    }
    const end = () => {
      for (const ending of endings) ending()
    }
    this.#alone = group.length === 1 && !this.#wal?.isSyncing ? this.#alone + 1 : 0
    try {
      if (this.#alone > aloneFirst && this.#wal?.trySyncHere()) return end()
    } catch (thrown) {
      return fail(thrown)
    }
    // Not awaited: the next units are committed while these are synced.
    this.#synced().then(end, fail)
  }

  /** Applies one unit; returns how it ends once the transaction is committed. */
  #apply({ unit, inContext, resolve, reject }: Waiting): () => void {
    const { savepoint, release, rollbackTo } = this.#statements
    savepoint.run()
    let ending: () => void
    this.#inEffects = true
    this.#tampered = false
    try {
      const outcome = inContext(() => applyUnit(this.db, this.#statements, unit))
      if (outcome !== 'committed') rollbackTo.run()
      ending = () => resolve(outcome)
    } catch (thrown) {
      if (!inTransaction(this.db)) throw isNative(thrown) ? thrown : this.#endedByEffects(thrown)
      rollbackTo.run()
      const error = this.#tampered ? this.#endedByEffects(thrown) : thrown
      ending = () => reject(error)
    } finally {
      this.#inEffects = false
    }
    if (!inTransaction(this.db)) throw this.#endedByEffects(undefined)
    release.run()
    return ending
  }

  #endedByEffects(cause: unknown): SpillwayError {
    return new SpillwayError(
      'CONFIGURATION',
      'The effects of a handler ended the transaction themselves; they must not use BEGIN, COMMIT or ROLLBACK.',
      { engine: 'sqlite', cause },
    )
  }

  #inForeignTransaction(): SpillwayError {
    return new SpillwayError(
      'CONFIGURATION',
      `A transaction of the service's own is open on the handle of ${this.name}; it must end in the turn of the event loop in which it began.`,
      { engine: 'sqlite' },
    )
  }

  /** Resolves once everything that was committed is durable. */
  async #synced(): Promise<void> {
    await this.#wal?.sync()
  }

  /** Runs `work` in a transaction of its own. */
  async #write<T>(durable: boolean, work: () => T): Promise<T> {
    const result = await this.#transact(durable, work)
    if (durable) await this.#synced()
    return result
  }

  /** Waits for another process's lock without blocking the event loop. Whether it is durable is `#synced`'s business. */
  async #transact<T>(durable: boolean, work: () => T): Promise<T> {
    for (const start = performance.now(); ; ) {
      if (!this.#flushing) this.#checkOpen()
      this.#wal?.check()
      const done = this.#transactNow(durable, work, performance.now() - start > lockTimeoutMs)
      if (done) return done.value
      await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 4))
    }
  }

  /** From BEGIN to COMMIT without a turn of the event loop between; undefined when another process has the lock. */
  #transactNow<T>(durable: boolean, work: () => T, last: boolean): { readonly value: T } | undefined {
    const { begin, commit, rollback } = this.#statements
    // It would be undone with ours.
    if (inTransaction(this.db)) throw this.#inForeignTransaction()
    // Not prepared: a pragma acts when it is compiled, not when it is run.
    const unsynced = this.#wal !== undefined || !durable
    this.db.exec(`PRAGMA busy_timeout = 0${unsynced ? '; PRAGMA synchronous = NORMAL' : ''}`)
    try {
      begin.run()
      const value = work()
      commit.run()
      return { value }
    } catch (thrown) {
      const began = inTransaction(this.db)
      if (began) rollback.run()
      if (!began && isBusy(thrown) && !last) return undefined
      throw translate(thrown, this.name)
    } finally {
      this.db.exec(`PRAGMA busy_timeout = ${this.#patienceMs}; PRAGMA synchronous = FULL`)
    }
  }

  #checkOpen(): void {
    if (this.#closing) throw this.#closedError()
  }

  #backlogFull(): SpillwayError {
    return new SpillwayError(
      'BACKLOG_FULL',
      `${maxWaiting} units wait for a transaction of ${this.name}; nothing of this one was stored.`,
      { engine: 'sqlite' },
    )
  }

  #closedError(): SpillwayError {
    return new SpillwayError('CLOSED', `The database ${this.name} was closed.`, { engine: 'sqlite' })
  }
}
