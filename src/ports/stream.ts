// The stream port: an append-only log of records in partitions, read by position, shared out among the members of
// consumer groups. Who reads keeps the cursor: reading from another position is all that seeking takes, and
// committing a lower position is all that replaying takes.
//
// Positions are whole numbers from 0 to 2^53 - 1; they rise with every record of a partition, not always by 1.
// A group's committed position is the next one it wants. All times are milliseconds. Any method may be called
// concurrently, from any number of processes. Names, ids and keys as for queues. Errors: ENGINE_UNAVAILABLE, CLOSED,
// UNKNOWN_STREAM, STORE_FULL, BACKLOG_FULL, and INVALID_OPTION for numbers out of range and partitions that do not exist,
// before anything is done.
import type { StreamCapabilities } from './capability.ts'
import type { Producer } from './producer.ts'
import type { Retention } from './retention.ts'

export interface StreamPort {
  readonly capabilities: StreamCapabilities
  readonly limits: { readonly maxBodyBytes: number; readonly minSessionMs: number }
  /** Where the streams are, for a service's database of the same engine: see `Database.adopt`. */
  readonly home?: object | undefined

  /**
   * Makes the stream exist and resolves with the partitions that it has: an existing stream keeps its own number.
   * `versions` (only with the capability) makes it keep versions; it cannot be changed for a stream that has records:
   * CONFIGURATION; left out, an existing stream stays as it is. `retention` can be changed at any time, by whoever declares it last. CONFIGURATION
   * when a server does not take it. Idempotent.
   */
  declare(stream: StreamSpec): Promise<{ readonly partitions: number }>

  /**
   * Appends records. Resolves when all of them survive what `durability` says. Records of one partition keep their
   * order, within a call and between calls of which one resolved before the other was made. A reader that has
   * seen a position has seen, or will see, every record below it: none appears later. When it rejects, some may be
   * stored (none with `atomicAppend`). TOO_LARGE before anything is stored when a body exceeds the limit.
   *
   * `expectedVersion` (only with `versions`; CAPABILITY_MISSING otherwise): how many records the key must have before
   * this one, in the whole stream, counting those before it in the call. CONFIGURATION on a stream without versions, or
   * for a record without key. If any record of the call finds another number, nothing
   * of the call is stored and the result is a conflict.
   *
   * `producer` (only with `producers`; CAPABILITY_MISSING otherwise): unless its sequence is above all that were stored of the producer in
   * this stream, nothing of the call is stored and the result is `duplicate`. The sequence is stored with the records, all or nothing, and not
   * with a conflict; it is known for seven days after the last one. A call that is overtaken by a later one of its producer is a duplicate: they are made
   * one after another. A call without records stores nothing, nor its sequence.
   */
  append(
    stream: string,
    records: readonly AppendRecord[],
    options?: { readonly producer?: Producer | undefined },
  ): Promise<AppendResult>

  /**
   * Records at or after the given positions. Resolves as soon as there is at least one, with what there is within the
   * bounds (always at least one, however large; `maxBytes` bounds the UTF-8 bytes of bodies, and an engine may count what it stores beside them); with an empty array after `waitMs`, when the signal fires, or at
   * close. Order within a partition is the order of positions, without leaving out any; partitions take turns, so
   * that none starves, also over the calls of one reader. A position below the earliest that is kept reads from the
   * earliest; one above the end waits. No positions: waits.
   */
  read(stream: string, from: readonly PartitionPosition[], options: ReadOptions): Promise<StreamRecord[]>

  /**
   * The records of a key from a version (counted from 1) on that are still kept, in order; those that are gone are left out, and show
   * by the numbers. CONFIGURATION on a stream without `versions`.
   */
  readKey(
    stream: string,
    key: string,
    options: { readonly fromVersion: number; readonly limit: number },
  ): Promise<StreamRecord[]>

  /** For every partition the position of the earliest record kept, and one right behind the last that can be read, which the next record will equal or exceed; equal when it is empty. */
  bounds(stream: string): Promise<PartitionBounds[]>

  /**
   * Forgets the records of partitions below positions, for everyone and for good; partitions that are not named keep theirs. Resolves when
   * `bounds` and every `read` begin at or above them. Nothing at or above a position goes; one at or below the earliest
   * changes nothing, one above the end stands for `next`. Positions and versions go on as if nothing were gone. Appends do not wait
   * for it; when it rejects, some may be gone.
   */
  trim(stream: string, below: readonly PartitionPosition[]): Promise<void>

  /** For every partition the first position appended at or after the time (epoch); `next` where there is none. */
  positionsAt(stream: string, time: number): Promise<PartitionPosition[]>

  /**
   * Makes this process a member of a consumer group. Every partition belongs to at most one live member, and to one as
   * soon as there is one; members get even shares (they differ by at most one partition). Joining, leaving and
   * dying shift partitions. The engine keeps the membership alive by itself; a member that
   * it does not hear from for `sessionMs` is dead. Resolves when the group knows the member; partitions come after that.
   */
  join(stream: string, group: string, options: JoinOptions): Promise<Membership>

  /** The committed positions of a group; null for partitions without one, and for a group that never was. */
  committed(stream: string, group: string): Promise<CommittedPosition[]>

  /**
   * The names of all streams that were declared, each once, sorted as texts. May lag behind by a second. What other programs
   * keep on the same server is no stream, whatever its name; one that another program made there and that was declared
   * afterwards may be missing.
   */
  names(): Promise<string[]>

  /**
   * The names of the stream's groups that have a member or a committed position, each once, sorted as texts; one that
   * had a member once may be among them. May lag behind by a second.
   */
  groups(stream: string): Promise<string[]>
}

export interface StreamSpec {
  readonly name: string
  /** At least 1. For a new stream. */
  readonly partitions: number
  readonly versions?: boolean
  /** What is kept from now on. Left out, an existing stream stays as it is, and a new one keeps everything. */
  readonly retention?: Retention | undefined
}

export interface AppendRecord {
  readonly partition: number
  readonly key?: string | undefined
  /** The encoded message. Opaque to the engine, returned byte for byte. */
  readonly body: string
  readonly expectedVersion?: number | undefined
  /** There is nothing more of its key, for a stream that is compacted. It has a key: INVALID_OPTION. */
  readonly tombstone?: boolean | undefined
}

export type AppendResult =
  | { readonly status: 'appended'; readonly positions: readonly number[] }
  /** `index`: the first record that did not find its version; `version`: how many its key has stored. */
  | { readonly status: 'conflict'; readonly index: number; readonly version: number }
  /** `sequence`: the last one of the producer that is stored. */
  | { readonly status: 'duplicate'; readonly sequence: number }

export interface PartitionPosition {
  readonly partition: number
  readonly position: number
}

export interface PartitionBounds {
  readonly partition: number
  readonly earliest: number
  readonly next: number
  /**
   * Everything that was ever appended at or above it is kept, but for what compaction has taken. Told where it is below `earliest`: positions may
   * leave numbers out before the first record.
   */
  readonly completeFrom?: number
}

export interface CommittedPosition {
  readonly partition: number
  readonly position: number | null
}

export interface ReadOptions {
  readonly maxRecords: number
  readonly maxBytes: number
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

export interface StreamRecord {
  readonly partition: number
  readonly position: number
  readonly key: string | undefined
  readonly body: string
  /** Milliseconds since the epoch, by the engine's clock; rises within a partition as far as that clock does. */
  readonly appendedAt: number
  /** The number of this record among those of its key, from 1. Only for streams with `versions`. */
  readonly version: number | undefined
}

export interface JoinOptions {
  /** At least `limits.minSessionMs`. */
  readonly sessionMs: number
  /** These partitions are this member's from now on. Calls never overlap with each other or with `revoked`. Must not throw. */
  assigned(partitions: readonly CommittedPosition[]): void
  /**
   * These partitions go to another member. The engine waits for the promise, at most `sessionMs`, before it gives them
   * away: the time to finish, or abort, and to commit (a rejection counts as given back). With `lost` they are gone already (the session had expired).
   */
  revoked(partitions: readonly number[], lost: boolean): Promise<void>
  /** The membership cannot go on by itself (the server is gone for longer than it can wait). Called at most once. */
  failed(error: Error): void
}

export interface Membership {
  /**
   * Stores the group's positions, durably; they may be lower than before. Where `fencing` is 'engine', `stale` for a
   * partition that is not, or no longer, this member's: its position stays as it was. Where a service keeps
   * its positions in its own database this is advisory: it tells others how far the group is. INVALID_OPTION for positions that are
   * none; nothing of the call is stored.
   */
  commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]>
  /** Calls `revoked` for what is held, if anything, waits for it at most `sessionMs`, leaves. Later commits are `stale`. Idempotent. */
  leave(): Promise<void>
}

export type CommitResult = 'committed' | 'stale'
