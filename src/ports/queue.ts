// The queue port: what an engine must do to keep messages safe until one consumer has handled each. What a queue can be
// asked beyond that by rules stands in queue-rules.ts, what an operator does to it in queue-control.ts,
// what it sends itself by the clock in queue-schedules.ts.
//
// States of a message: (waiting →) ready → leased → gone | ready again (later, or when its lease ends) | dead letter → ready.
// All methods take and return arrays; results stand in the order of their arguments. All times are milliseconds.
// Any method may be called concurrently, from any number of processes. Names were checked by the caller; ids and keys are
// well-formed texts of 1 to 200 characters without NUL. Errors are SpillwayErrors translated at the engine's edge:
// ENGINE_UNAVAILABLE, CLOSED, UNKNOWN_QUEUE, STORE_FULL, BACKLOG_FULL, and INVALID_OPTION for numbers out of range, before
// anything is done.
import type { QueueCapabilities } from './capability.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { QueueControl } from './queue-control.ts'
import type { Duplicate, QueueRules } from './queue-rules.ts'
import type { QueueSchedules } from './queue-schedules.ts'

export type { OutgoingMessage } from './outgoing-message.ts'

export interface QueuePort extends QueueControl, QueueSchedules {
  readonly capabilities: QueueCapabilities
  /** `maxBodyBytes`: the largest UTF-8 body that is taken. `minLeaseMs`: the shortest lease that it can keep up. */
  readonly limits: { readonly maxBodyBytes: number; readonly minLeaseMs: number }
  /** Where the queues are, for a service's database of the same engine: see `Database.adopt`. */
  readonly home?: object | undefined

  /**
   * Makes the queues exist, with these rules. Idempotent; messages in an existing queue stay. Without `rules` an existing queue
   * keeps those that it has; else they take the place of all that it had, at once and for all processes: what waiting messages carry
   * for a rule that is gone counts for nothing, and a `rate` that is the same keeps its bucket. CAPABILITY_MISSING for a rule that the
   * engine cannot hold; CONFIGURATION when `keyOrder` would change while the queue holds messages that are not dead letters. When it
   * rejects, no queue was made or changed.
   */
  declare(queues: readonly string[], rules?: QueueRules): Promise<void>

  /**
   * Stores messages. Resolves when all of them survive what `durability` says; rejects when some may not have been
   * stored (which ones is unknown unless `atomicSend`). Messages of one call become claimable in their order,
   * and so do those of calls of which one resolved before the other was made. Identical ids are separate messages.
   * TOO_LARGE before anything is stored when a body exceeds the limit, UNKNOWN_MESSAGE as `After` says. Resolves, in the order of the arguments, with the messages that were not stored because
   * another one has their `dedup` key, also one before them in the call; with an empty array otherwise.
   */
  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]>

  /**
   * Leases up to `limit` messages, and counts a start for each. Resolves as soon as at least one can be leased, with
   * what there is; with an empty array after `waitMs`, when the signal fires (also before the call), or at close (messages leased by then
   * are returned or given back, never lost to the caller). A message has at most one live lease. Roughly the oldest
   * first, by when they were sent or redriven; one whose lease ended without a settlement, or whose delay or retry is due, may come before or between.
   * Need not be durable: after a power failure a claim may be forgotten, and its start with it.
   */
  claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]>

  /**
   * Ends leases. Durable when it resolves. Where `fencing` is 'engine', a lease that expired and was claimed again,
   * or was settled already, is `stale`: nothing happens to its message. (A lease that expired but that nobody claimed
   * since is settled all the same, or `stale`.) A lease that this queue does not know is `stale`. Where it is 'effects', the engine may answer `settled` for a stale lease.
   */
  settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]>

  /** Moves the end of live leases to `leaseMs` from now. `stale` as for `settle`; one that expired but that nobody claimed
   * since is live again, or `stale`, and `stale` when a rule has no place left for it. Need not be durable. `progress`, only with the
   * capability: for each lease a JSON text of at most `maxProgress` characters, which `peek` shows for as long as the lease lasts, in place of what was said before;
   * undefined says nothing new. What is stale writes nothing. */
  extend(
    queue: string,
    leases: readonly string[],
    leaseMs: number,
    progress?: readonly (string | undefined)[],
  ): Promise<ExtendResult[]>

  /** How many messages are in which state: a snapshot, which may lag behind by a second. */
  count(queue: string): Promise<QueueCount>

  /**
   * Dead letters by the time of their death, after the given `handle`, which may be one that was redriven since. At most `limit`; fewer
   * when their bodies are large, and none only when there are none.
   */
  deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]>

  /**
   * Makes dead letters ready again, with the same id and no starts; resolves with how many there were. Handles that name
   * none are passed over; one that dies again gets a new handle. Durable.
   */
  redrive(queue: string, handles: readonly string[]): Promise<number>

  /**
   * The names of all queues that were declared, each once, sorted as texts. May lag behind by a second. What other programs
   * keep on the same server is no queue, whatever its name.
   */
  names(): Promise<string[]>
}

export interface ClaimOptions {
  /** At least 1. */
  readonly limit: number
  /** At least `limits.minLeaseMs`. */
  readonly leaseMs: number
  /** How long to wait for a first message; 0 looks once. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

export interface ClaimedMessage {
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  /** How often this message was started since it was sent or redriven, this time included. Releases do not count. */
  readonly starts: number
  /**
   * Its last lease ended without a settlement: whoever held it may have died of it. Also true where the engine cannot tell
   * that from a retry. A release leaves it as it was. False for the first start.
   */
  readonly suspect: boolean
  /** A message that it was to wait for was cancelled or purged: nobody will do that. Whoever claims it has to decide. */
  readonly orphan?: true
  /**
   * When it was redriven last: milliseconds since the epoch. It keeps that over retries and leases, until it ends. Absent for one that nobody
   * redrove, also where another message has its id.
   */
  readonly redrivenAt?: number
  /** Names the lease in `settle` and `extend`. Opaque. */
  readonly lease: string
  /** Rises with every claim of this message, also over releases and redriving: whoever stores it beside an effect can refuse an older one. */
  readonly fencingToken: number
}

export type Settlement =
  /** Handled: the message is gone. */
  | { readonly lease: string; readonly kind: 'done' }
  /** Claimable again after `delayMs`. With the capability `history` the reason, if there is one, is kept among the last 10 of the message. */
  | {
      readonly lease: string
      readonly kind: 'retry'
      readonly delayMs: number
      readonly reason?: string | undefined
    }
  /** Given back unhandled: claimable at once, and the start is not counted. */
  | { readonly lease: string; readonly kind: 'release' }
  /** To the dead letters. */
  | { readonly lease: string; readonly kind: 'dead-letter'; readonly reason: string }

export type SettleResult = 'settled' | 'stale'
/** `cancelled`: extended, but somebody cancelled the message: its handler should end. Said with every extension of it. */
export type ExtendResult = 'extended' | 'stale' | 'cancelled'

export interface QueueCount {
  /** Also what only a rule or a pause holds back. */
  readonly ready: number
  /** Waiting for a delay or a retry. */
  readonly delayed: number
  /** Waiting for other messages: see `After`. */
  readonly waiting: number
  readonly leased: number
  readonly dead: number
  readonly paused: boolean
}

export interface DeadMessage {
  /** Names the dead letter in `redrive` and in `after`. Opaque. */
  readonly handle: string
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  readonly reason: string
  readonly starts: number
  /** Milliseconds since the epoch. */
  readonly diedAt: number
  /** Why it was tried again before, oldest first. Empty without the capability `history`; starts again by redriving. */
  readonly history: readonly FailedStart[]
}

export interface FailedStart {
  /** Which start it was, from 1. */
  readonly start: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly reason: string
}
