// A service's database in memory, for tests: the transaction seam around any handle that can be put back as it was.
// It is a synchronous driver: a transaction is one function call, and effects that return a promise are refused.
import { type Clock, systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type {
  CommitOutcome,
  CommitUnit,
  Database,
  DatabaseSource,
  Handled,
  HeldPartition,
  InboxEntry,
  JoinedOutbox,
  OutboxPort,
  Progress,
  Rewind,
} from '../../ports/database.ts'
import type { ParkingPort } from '../../ports/parking.ts'
import type { SagaPort } from '../../ports/saga.ts'
import { Capacity, checkOption, closedError, engineName } from './limits.ts'
import { Outbox, type SetAsideRow } from './outbox.ts'
import { ParkingTable } from './parking.ts'
import { ProgressTable } from './progress.ts'
import { SagaTable } from './sagas.ts'
import type { Restorable } from './table.ts'

/** How many inbox entries one call of `prune` removes at most. */
const pruneBatch = 10_000

interface CommonOptions {
  /** Dates the inbox and bounds the relay's lock. Default: the system's clock. */
  readonly clock?: Clock
  /** How many inbox entries and outbox messages a service keeps at most; more is BACKLOG_FULL. Default 1,000,000. */
  readonly maxRows?: number
}

export interface RestorableDatabaseOptions<Db extends Restorable> extends CommonOptions {
  /** The handle that effects are given: a MemoryTable, or whatever else has `snapshot()`. */
  readonly db: Db
}

export interface MemoryDatabaseOptions<Db> extends CommonOptions {
  /** The handle that effects are given: any object. */
  readonly db: Db
  /**
   * Called before effects run; what it returns is called when they fail and must put `db` back as it was. Spillway
   * cannot do that for an object that it does not know. Of several tables:
   * `(db) => { const undo = [db.orders.snapshot(), db.stock.snapshot()]; return () => undo.forEach((u) => u()) }`.
   * For a handle whose changes no test looks at: `() => () => {}`, and then they are not rolled back.
   */
  readonly snapshot: (db: Db) => () => void
}

export interface MemoryDatabaseSource<Db> extends DatabaseSource<Db> {
  /** The messages that the relay of a service could not send, with their reasons, oldest first. */
  setAside(service: string): readonly SetAsideRow[]
}

/** What outlives `close`, as a file would: opening the same service again finds it. */
interface State {
  readonly inbox: Map<string, number>
  /** By the address of their entry. */
  readonly answers: Map<string, string>
  readonly progress: ProgressTable
  readonly outbox: Outbox
  readonly parking: ParkingTable
  readonly sagas: SagaTable
  readonly capacity: Capacity
  lastHandled: number
  prunedUpTo: number | undefined
}

/**
 * A database in memory around `db`. Each service has tables of its own, which outlive `close`: open it again to test a restart.
 * Two that open the same service share them, as two processes would.
 */
export function memoryDatabase<Db extends Restorable>(
  options: RestorableDatabaseOptions<Db>,
): MemoryDatabaseSource<Db>
export function memoryDatabase<Db>(options: MemoryDatabaseOptions<Db>): MemoryDatabaseSource<Db>
export function memoryDatabase<Db>(
  options: MemoryDatabaseOptions<Db> | RestorableDatabaseOptions<Db & Restorable>,
): MemoryDatabaseSource<Db> {
  const { db, clock = systemClock, maxRows = 1_000_000 } = options
  checkOption('maxRows', maxRows, 1, 'count')
  const snapshot = 'snapshot' in options ? () => options.snapshot(db) : () => (db as Restorable).snapshot()
  const states = new Map<string, State>()
  return {
    async open(service) {
      let state = states.get(service)
      if (state === undefined) {
        const capacity = new Capacity(`The memory database of '${service}'`, maxRows)
        const outbox = new Outbox(clock, capacity)
        const parking = new ParkingTable(capacity)
        const progress = new ProgressTable()
        const sagas = new SagaTable(clock, capacity)
        state = {
          inbox: new Map(),
          answers: new Map(),
          progress,
          outbox,
          parking,
          sagas,
          capacity,
          lastHandled: 0,
          prunedUpTo: undefined,
        }
        states.set(service, state)
      }
      return new MemoryDatabase(db, snapshot, clock, state)
    },
    setAside: (service) => states.get(service)?.outbox.setAside ?? [],
  }
}

class MemoryDatabase<Db> implements Database<Db> {
  readonly name = engineName
  readonly db: Db
  readonly outbox: OutboxPort
  readonly parking: ParkingPort
  readonly sagas: SagaPort
  readonly #snapshot: () => () => void
  readonly #clock: Clock
  readonly #state: State
  #closed = false

  constructor(db: Db, snapshot: () => () => void, clock: Clock, state: State) {
    this.db = db
    this.outbox = state.outbox.port(() => this.#check())
    this.parking = state.parking.port(() => this.#check())
    this.sagas = state.sagas.port(() => this.#check())
    this.#snapshot = snapshot
    this.#clock = clock
    this.#state = state
  }

  async commit(unit: CommitUnit<Db>): Promise<CommitOutcome> {
    this.#check()
    // So that a commit called from inside effects is a transaction after this one, never a part of it.
    await undefined
    this.#check()
    const { inbox, progress, outbox, parking, sagas, capacity } = this.#state
    const { park, unpark, saga } = unit
    if (unit.progress !== undefined && progress.isStale(unit.progress)) return 'stale'
    if (unit.progress !== undefined && progress.isFinished(unit.progress)) return 'duplicate'
    if (unit.progress !== undefined && unpark !== undefined && !parking.has(unit.progress, unpark))
      return 'duplicate'
    const entered = unit.inbox === undefined ? [] : addresses(unit.inbox)
    if (entered.some((address) => inbox.has(address))) return 'duplicate'
    if (saga !== undefined && !sagas.fits(saga)) return 'conflict'
    const starts = saga !== undefined && !sagas.has(saga)
    const parks = unit.progress && park && !parking.has(unit.progress, park.position)
    const restore = unit.effects === undefined ? () => {} : this.#snapshot()
    let answer: string | undefined
    try {
      if (unit.effects !== undefined) runEffects(unit.effects, this.db)
      answer = unit.inbox?.answer?.()
      // Only now: what the effects send stands in the outbox of the unit when they have run.
      capacity.reserve(unit.outbox.length + entered.length + (parks ? 1 : 0) + (starts ? 1 : 0))
    } catch (thrown) {
      restore()
      throw thrown
    }
    for (const address of entered) inbox.set(address, this.#now())
    if (answer !== undefined) this.#state.answers.set(entered[0]!, answer)
    outbox.store(unit.outbox)
    if (saga !== undefined) sagas.store(saga)
    if (unit.progress !== undefined) {
      progress.store(unit.progress)
      if (park !== undefined) parking.store(unit.progress, park)
      if (unpark !== undefined) parking.remove(unit.progress, unpark)
    }
    return 'committed'
  }

  async handled(consumer: string, ids: readonly string[]): Promise<Handled> {
    this.#check()
    const { inbox, prunedUpTo } = this.#state
    const known = ids.filter((id) => inbox.has(addresses({ consumer, ids: [id] })[0]!))
    return { ids: new Set(known), prunedUpTo }
  }

  async answer(consumer: string, id: string): Promise<string | undefined> {
    this.#check()
    return this.#state.answers.get(addresses({ consumer, ids: [id] })[0]!)
  }

  async acquire(stream: string, group: string, partition: number): Promise<HeldPartition> {
    this.#check()
    return this.#state.progress.acquire(stream, group, partition)
  }

  async rewind(order: Progress, to: Rewind): Promise<CommitOutcome> {
    this.#check()
    const { progress } = this.#state
    if (progress.isStale(order) || progress.isStale(to)) return 'stale'
    if (progress.isFinished(order)) return 'duplicate'
    progress.rewind(to)
    this.#state.parking.removeFrom(to, to.position)
    progress.store(order)
    return 'committed'
  }

  join(): JoinedOutbox {
    this.#check()
    throw new SpillwayError(
      'NO_TRANSACTION',
      'The database in memory has no transactions that a user could have open: use transaction(), or a real database.',
      { engine: engineName },
    )
  }

  async prune(before: number): Promise<number> {
    this.#check()
    const { inbox, capacity } = this.#state
    let removed = 0
    for (const [entry, handledAt] of inbox) {
      if (handledAt >= before || removed === pruneBatch) break
      inbox.delete(entry)
      this.#state.answers.delete(entry)
      this.#state.prunedUpTo = handledAt
      removed++
    }
    capacity.free(removed)
    return removed
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** Never falls, though a clock may step back: the inbox stands in the order of its times. */
  #now(): number {
    this.#state.lastHandled = Math.max(this.#state.lastHandled, this.#clock.now())
    return this.#state.lastHandled
  }

  #check(): void {
    if (this.#closed) throw closedError()
  }
}

function runEffects<Db>(effects: (db: Db) => unknown, db: Db): void {
  // Refused before it starts: what it would do after its first `await` could not be rolled back.
  if (Object.prototype.toString.call(effects) === '[object AsyncFunction]') throw asyncEffects()
  const result = effects(db)
  if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== 'function') return
  // It is of no use to anybody any more, and its failure must not end the process.
  if (result instanceof Promise) result.catch(() => {})
  throw asyncEffects()
}

function asyncEffects(): SpillwayError {
  return new SpillwayError(
    'COMMIT_ASYNC',
    'The effects returned a promise, and this database is synchronous.',
    {
      engine: engineName,
    },
  )
}

function addresses({ consumer, ids }: InboxEntry): string[] {
  return ids.map((id) => JSON.stringify([consumer, id]))
}
