// The database port: the transaction seam. How a service's own database commits, in one short transaction at the end of
// a handler, the effects, the messages sent, and the mark that the message was handled (inbox entry or progress).
//
// Spillway keeps its tables beside those of the service: outbox, inbox, progress, relay. Nothing here holds a transaction
// open between two calls. Errors: ENGINE_UNAVAILABLE, STORE_FULL, BACKLOG_FULL, CLOSED; what the effects throw is thrown as it is.

import type { ParkedEvent, ParkingPort, PartitionOfGroup } from './parking.ts'
import type { SagaPort, SagaWrite } from './saga.ts'

export type { PartitionOfGroup } from './parking.ts'

/** Opens the service's database. `Db` is the handle that the effects are given. */
export interface DatabaseSource<Db> {
  /**
   * Connects, and creates or migrates Spillway's tables. `service` is the name of the context. Services
   * may share a database: nothing of one is ever taken for something of the other.
   */
  open(service: string): Promise<Database<Db>>
  /**
   * Whether the database holds tables of the service, and of which services it does; for those who look. Makes nothing, not even the file. Names that were
   * too long for the database come as it has them. Undefined where that cannot be told without opening it.
   */
  find?(service: string): Promise<FoundServices | undefined>
  /** The url of an engine in this database, or beside it, for what the service receives. Undefined when that cannot be told. */
  inboxEngine?(service: string): string | undefined
}

export interface FoundServices {
  readonly isThere: boolean
  readonly services: readonly string[]
}

export interface Database<Db> {
  /** For messages to people: the file, or the address without secrets. */
  readonly name: string
  /** For work outside a handler's transaction: views, queries, the tables' own migrations. */
  readonly db: Db

  /**
   * In one transaction, in this order: checks the fence of `progress` and that its position is not finished, records `inbox`,
   * runs `effects`, stores `outbox`.
   * Durable when it resolves with 'committed'; in every other case nothing of the unit is stored.
   *
   * - 'duplicate': the inbox has one of these messages, or the position that `progress` finishes is finished already. Effects do not run.
   *   A concurrent unit with the same entry or position waits for the first to end, and is a duplicate only if that one
   *   committed. So whoever does not know whether a commit went through may commit again.
   * - 'conflict': the instance of `saga` does not have the version that is expected. It comes after 'duplicate'. Of concurrent units that expect
   *   the same version one is committed.
   * - 'stale': the stored generation of the partition is not this one. It comes before 'duplicate'.
   * - Rejects with what `effects` threw. A synchronous driver rejects effects that return a promise (COMMIT_ASYNC; what
   *   they do after their first await is not stopped); an
   *   asynchronous one rejects after `timeoutMs` (TRANSACTION_TIMEOUT), and when outside I/O starts inside (OUTSIDE_IO).
   *
   * Concurrent units may share one physical transaction; the failure of one leaves the others untouched.
   */
  commit(unit: CommitUnit<Db>): Promise<CommitOutcome>

  /** Which of these messages the inbox has, before any work is done on them; and what it may have forgotten, at the same moment. */
  handled(consumer: string, ids: readonly string[]): Promise<Handled>

  /** What was stored as the answer of this entry (`InboxEntry.answer`), durably; undefined where there is no such entry, or none with an answer. */
  answer(consumer: string, id: string): Promise<string | undefined>

  /** Raises the generation of a partition and returns what is stored: from now on older generations are stale. Durable. */
  acquire(stream: string, group: string, partition: number): Promise<HeldPartition>

  /**
   * In one transaction: the partition goes back to a position, and `order`, the progress of whoever asked for it, is stored
   * as a unit's would be. Every record at or after `position` counts as not finished from then on: `low` falls to it (never
   * rises), finished positions from it on are forgotten, what is parked from it on is gone, and the sequences of producers too when `low` fell. The
   * generation is raised, so that units under way are stale. 'stale' when the generation of either is not the stored
   * one, 'duplicate' when `order` is finished already; then nothing changes. Durable.
   */
  rewind(order: Progress, to: Rewind): Promise<CommitOutcome>

  /**
   * The outbox as a part of a transaction that the user has open in this database (`user-transaction.ts` has the kinds). Throws
   * NO_TRANSACTION for what is none of them, and for one that is seen not to be open, or not in this database.
   */
  join(tx: unknown): JoinedOutbox

  /**
   * Told where an engine keeps its queues (`QueuePort.home`) or its streams (`StreamPort.home`). Resolves with true when that is this same database, and
   * who is connected here may write there. From then on messages to queues that hold no rules are stored there by the transaction itself, and who
   * waits for them is woken after its commit; and what is for streams can be moved there (`OutboxPort.move`).
   */
  adopt?(home: object): Promise<boolean>

  /** Whether a message is one of those that are stored in their queue, and not in the outbox. */
  passesOutbox?(message: OutboxMessage): boolean

  /** A transaction of the user's was committed: wakes who waits for what was stored in queues. */
  committed?(): void

  readonly outbox: OutboxPort

  /** What is parked: see `CommitUnit.park`. */
  readonly parking: ParkingPort

  /** The state of sagas: see `CommitUnit.saga`. */
  readonly sagas: SagaPort

  /**
   * Removes inbox entries older than the time (epoch ms), with their answers, a bounded number a call; resolves with how many. In the same
   * transaction it notes the latest time of those (`Handled.prunedUpTo`): who uses a longer window than this one must know.
   */
  prune(before: number): Promise<number>

  /** Lets what is under way end, lets go of everything; later calls reject with CLOSED. Idempotent. */
  close(): Promise<void>
}

/** What an inbox says of messages. */
export interface Handled {
  readonly ids: ReadonlySet<string>
  /**
   * The time, in epoch ms, of the latest entry that was ever removed, of whichever consumer: of what was handled until then entries may be gone.
   * Never falls. Undefined while none was removed.
   */
  readonly prunedUpTo: number | undefined
}

export interface CommitUnit<Db> {
  readonly effects?: ((db: Db) => unknown) | undefined
  /** Read after the effects have run: they may add to it. */
  readonly outbox: readonly OutboxMessage[]
  readonly inbox?: InboxEntry | undefined
  readonly progress?: Progress | undefined
  /** Parks an event in the partition of `progress`, or changes what is said of one that is parked there. Stored with the rest of the unit. */
  readonly park?: ParkedEvent | undefined
  /** The position of a parked event in the partition of `progress` that this unit handles: it is parked no longer. 'duplicate' where it is not parked. */
  readonly unpark?: number | undefined
  /** The state of an instance of a saga, after this unit. */
  readonly saga?: SagaWrite | undefined
  /** The bound of the transaction, for asynchronous drivers. */
  readonly timeoutMs: number
}

/** 'conflict' only of a unit with a `saga`. */
export type CommitOutcome = 'committed' | 'duplicate' | 'stale' | 'conflict'

/** Messages that a unit handles: one, or those of a batch, each id once. Or a call that it answers, by its idempotency key. */
export interface InboxEntry {
  readonly consumer: string
  readonly ids: readonly string[]
  /**
   * Of one id: the text that is stored with the entry and is there as long as the entry is. Asked for once the effects have run, in the
   * transaction: what it throws undoes the unit as what effects throw does. That of a duplicate is not stored, and not asked for where there are effects.
   */
  readonly answer?: () => string
}

/** How far a partition is, and the record that a unit finishes. */
export interface Progress {
  readonly stream: string
  readonly group: string
  readonly partition: number
  readonly generation: number
  /** The position of the record that this unit finishes; without one it only tells `low`, and is never a duplicate. */
  readonly finished: number | undefined
  /**
   * Everything below is finished, this unit included. Stored only if higher than what is stored. When `finished` is not
   * below the `low` that is stored after this unit, it is remembered on its own until a later `low` passes it.
   */
  readonly low: number
  /** The highest sequence seen from each producer below `low`; stored with it. */
  readonly sequences: Readonly<Record<string, number>>
}

/** Where a partition of a group is to go on from. */
export interface Rewind extends PartitionOfGroup {
  readonly generation: number
  readonly position: number
  /** The `low` of a partition that has none stored. */
  readonly low: number
}

export interface HeldPartition {
  readonly generation: number
  /** The stored `low`; null for a partition that never had progress. */
  readonly position: number | null
  /** Finished positions at or above `position`, ascending. */
  readonly finished: readonly number[]
  readonly sequences: Readonly<Record<string, number>>
}

export interface Destination {
  readonly kind: 'queue' | 'stream'
  readonly name: string
}

export interface OutboxMessage {
  readonly destination: Destination
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  /** Of a message to a queue that carries nothing for rules: how much later than its commit it may be claimed. */
  readonly plain?: { readonly delayMs: number } | undefined
}

/**
 * What a relay needs. One relay at a time works on an outbox: it holds the lock. Rows get their sequence when they
 * are taken, not when they are inserted, so that a late commit is sent late and never skipped.
 */
export interface OutboxPort {
  /** Identifies this outbox for ever, also over restarts; another one after a restore would be a mistake. */
  readonly producerId: string
  /** Takes or renews the lock for `leaseMs`; false while another holder has it. By the database's clock. */
  lock(holder: string, leaseMs: number): Promise<boolean>
  unlock(holder: string): Promise<void>
  /** The destinations that have rows to send. */
  pending(): Promise<Destination[]>
  /**
   * The first rows of a destination by sequence, giving durable sequences to those that have none: in the order of
   * commit, as far as the database knows it. The rows stay, and may be taken again. Every row taken is durable; fewer than `limit` may come although more wait. Empty when
   * `holder` no longer has the lock; a lock that expired is none. With `after` only rows above that sequence: what comes next, while those before
   * are still being sent.
   */
  take(holder: string, destination: Destination, limit: number, after?: number): Promise<OutboxRow[]>
  /**
   * Where the stream is in this same database: in one transaction takes the first rows of a destination, gives sequences to those that have none,
   * appends them and forgets them. What a reader of the stream sees is what `take` and an append of `numbered` (envelope.ts) to the partition
   * `partitionOf(key ?? id)` would have stored, and a row is there once, whoever dies meanwhile. Durable as the stream's own appends. It needs no lock: the transaction is
   * one. Undefined while another holder has the lock, and where it cannot be done so (another database, a stream that keeps
   * versions, a row that the stream does not take): then nothing was changed, and `take` is the way.
   */
  move?(holder: string, destination: Destination, limit: number, to: StreamWithin): Promise<Moved | undefined>
  /**
   * Forgets rows that were sent. Losing this to a power failure only sends them again, with the same sequence.
   * Rows are known by their sequence; unknown ones are passed over, and so are those that were set aside.
   */
  remove(rows: readonly OutboxRow[]): Promise<void>
  /** Keeps a row that cannot be sent, with its reason, out of the way of the others. */
  setAside(row: OutboxRow, reason: string): Promise<void>
  /** What was set aside, by sequence, above `after`: for people. */
  aside(limit: number, after?: number): Promise<AsideRow[]>
  /**
   * Puts rows that were set aside back to be sent, each with a new place at the end: receivers may have seen what came after it, and would
   * pass over its old sequence; and with the time of now, by which receivers know that it is meant (`OutboxRow.retriedAt`). Durable. Resolves with how many of the sequences there were.
   */
  retry(sequences: readonly number[]): Promise<number>
  /** Forgets rows that were set aside, for good; resolves as `retry`. */
  drop(sequences: readonly number[]): Promise<number>
  /** How many rows wait, and how many were set aside. */
  count(): Promise<{ readonly waiting: number; readonly setAside: number }>
}

/** The stream that rows are moved to. */
export interface StreamWithin {
  /** `StreamPort.home` of the port that has it. */
  readonly home: object
  readonly partitions: number
}

export interface Moved {
  readonly rows: number
  /** Whether more may wait. */
  readonly more: boolean
}

/** A row that could not be sent. */
export interface AsideRow extends OutboxRow {
  readonly reason: string
}

/**
 * Stores messages in a transaction of the user's: they are committed with it, or not at all, and after it has ended nothing is
 * stored any more. Rows of one transaction are sent in the order in which they were stored. NO_TRANSACTION when
 * it is found to have ended, or never to have begun: then nothing was stored, in no transaction.
 */
export type JoinedOutbox =
  | { readonly driver: 'synchronous'; store(messages: readonly OutboxMessage[]): void }
  | { readonly driver: 'asynchronous'; store(messages: readonly OutboxMessage[]): Promise<void> }

export interface OutboxRow extends OutboxMessage {
  /**
   * From 1, unique in this outbox, rising in the order of sending. A database that can be restored from an older copy gives
   * numbers above all that it had given before: at least the time in microseconds.
   */
  readonly sequence: number
  /** When it was put back last after it had been set aside, in epoch ms; undefined when it never was. */
  readonly retriedAt?: number
}
