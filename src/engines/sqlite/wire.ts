// What crosses between the caller's thread and the storage thread. Bodies do not: they stand as bytes in memory that
// both threads see (slabs.ts), and an operation says where.
import type { Producer } from '../../ports/producer.ts'
import type { QueueCount } from '../../ports/queue.ts'
import type { QueueRules } from '../../ports/queue-rules.ts'
import type { ScheduleList, WhichSchedules } from '../../ports/queue-schedules.ts'
import type { Limits } from '../../ports/retention.ts'
import type { Failure } from './native-error.ts'

/** Runs of records in slabs, four numbers each: slab, start, bytes, how many records. */
export type Spans = number[]
export const spanWidth = 4

/** Four ways to end a lease, as numbers. */
export const settleKind = { done: 0, retry: 1, release: 2, 'dead-letter': 3 } as const

/** Operations that may change the store: they share a commit. */
export type WriteOperation =
  /** `rules`: null leaves them as they are. */
  | {
      readonly kind: 'declareQueues'
      readonly names: readonly string[]
      readonly rules: QueueRules | null
    }
  | {
      readonly kind: 'send'
      readonly queue: number
      /** Of the rules that the caller knows. */
      readonly version: number
      readonly spans: Spans
      /** Runs of one record, and for how long each is held back. */
      readonly delayed: Spans
      readonly delaysMs: number[]
      /** For a queue with rules: runs of one record, and what each carries. */
      readonly tasks: Spans
      readonly extras: TaskExtras[]
    }
  /** `wants`: pairs of limit and leaseMs, one pair for each caller. */
  | { readonly kind: 'claim'; readonly queue: number; readonly wants: number[] }
  | {
      readonly kind: 'settle'
      readonly queue: number
      readonly seqs: number[]
      readonly tokens: number[]
      readonly kinds: number[]
      /** The delay of a retry, the reason of a dead letter. */
      readonly arguments: (number | string | null)[]
      /** Why there is a retry. */
      readonly reasons: (string | null)[]
    }
  | {
      readonly kind: 'extend'
      readonly queue: number
      readonly seqs: number[]
      readonly tokens: number[]
      readonly leasesMs: number[]
      /** What some of the holders say of their progress: index and text. */
      readonly progress: (readonly [index: number, value: string])[]
    }
  | { readonly kind: 'redrive'; readonly queue: number; readonly handles: readonly number[] }
  | { readonly kind: 'pause'; readonly queue: number; readonly paused: boolean }
  /** One step: looks at messages after a number. */
  | {
      readonly kind: 'cancel'
      readonly queue: number
      readonly ids: readonly string[]
      readonly after: number
    }
  /** One step. `until`: what the first step answered. */
  | {
      readonly kind: 'purge'
      readonly queue: number
      readonly what: 'waiting' | 'dead'
      readonly until: PurgeEnd | null
    }
  /** `send`: what it sends, of the same queue. */
  | {
      readonly kind: 'putSchedule'
      readonly queue: number
      readonly name: string
      readonly spec: string
      readonly due: number
      readonly last: number | null
      readonly version: number | null
      readonly send: Extract<WriteOperation, { kind: 'send' }>
    }
  | { readonly kind: 'removeSchedule'; readonly queue: number; readonly name: string }
  /** One step. */
  | { readonly kind: 'trimFinished'; readonly queue: number }
  | {
      readonly kind: 'declareStream'
      readonly name: string
      readonly partitions: number
      /** Null: as it is, or without for a new one. */
      readonly versions: boolean | null
      /** Null: as it is. */
      readonly limits: Limits | null
    }
  /** `partitions`: one for each span. */
  | {
      readonly kind: 'append'
      readonly stream: number
      readonly spans: Spans
      readonly partitions: number[]
      /** Of one call alone. */
      readonly producer: Producer | null
    }
  /** One call. `records` says for each record, in the order of the call, its partition, key and expected version. */
  | {
      readonly kind: 'appendVersions'
      readonly stream: number
      readonly spans: Spans
      readonly partitions: number[]
      readonly records: readonly (readonly [partition: number, key: string | null, expected: number | null])[]
      readonly producer: Producer | null
    }
  /** Hides what is below: pairs of partition and position. */
  | { readonly kind: 'trim'; readonly stream: number; readonly below: readonly number[] }
  /** One step: removes what is hidden. */
  | { readonly kind: 'sweep'; readonly stream: number }
  /** One step: hides and removes what no stream need keep any longer. The storage thread asks this itself. */
  | { readonly kind: 'retain' }
  /** `member`: a number that the caller chose, to name the member in this engine from now on. */
  | {
      readonly kind: 'join'
      readonly member: number
      readonly stream: number
      readonly group: string
      readonly sessionMs: number
    }
  | { readonly kind: 'leave'; readonly member: number }
  /** The owner knows what was lost: if the member was declared dead, it comes back. */
  | { readonly kind: 'rejoin'; readonly member: number }
  /** One generation for each partition: what was given up is no later assignment of the same. */
  | {
      readonly kind: 'givenUp'
      readonly member: number
      readonly partitions: readonly number[]
      readonly generations: readonly number[]
    }
  | {
      readonly kind: 'commit'
      readonly member: number
      /** Triples of partition, generation, position. */
      readonly positions: readonly number[]
    }

/** Operations that only look: they are answered without waiting for a commit or a lock. */
export type ReadOperation =
  | { readonly kind: 'findQueue'; readonly name: string }
  | { readonly kind: 'queueNames' }
  | { readonly kind: 'peek'; readonly queue: number; readonly after: number; readonly limit: number }
  /** `before`: only those with lower handles. */
  | { readonly kind: 'finished'; readonly queue: number; readonly before: number; readonly limit: number }
  | { readonly kind: 'count'; readonly queue: number }
  | { readonly kind: 'schedules'; readonly queue: number; readonly which: WhichSchedules }
  | { readonly kind: 'deadLetters'; readonly queue: number; readonly limit: number; readonly after: number }
  | { readonly kind: 'findStream'; readonly name: string }
  | { readonly kind: 'streamNames' }
  | {
      readonly kind: 'read'
      readonly stream: number
      /** Pairs of partition and position. */
      readonly from: readonly number[]
      readonly maxRecords: number
      readonly maxBytes: number
    }
  | {
      readonly kind: 'readKey'
      readonly stream: number
      readonly key: string
      readonly fromVersion: number
      readonly limit: number
    }
  | { readonly kind: 'bounds'; readonly stream: number }
  | { readonly kind: 'positionsAt'; readonly stream: number; readonly time: number }
  | { readonly kind: 'committed'; readonly stream: number; readonly group: string }
  | { readonly kind: 'groupNames'; readonly stream: number }

export type Operation = WriteOperation | ReadOperation

/** Messages that were leased together, for one caller after the other. */
export interface ClaimedBytes {
  readonly token: number
  /** How many of the messages are for each caller. */
  readonly counts: readonly number[]
  /** `runWidth` numbers each: the first number of a run, how many follow each other, their starts, and `runFlag`s. */
  readonly runs: readonly number[]
  /** Their records, in this order. */
  readonly data: Uint8Array
}

export const runWidth = 4
export const runFlag = { suspect: 1, orphan: 2 } as const

/** What a message of a queue with rules carries: delay, priority, group (or ''), key where its order holds, deduplication, what it waits for. */
export type TaskExtras = readonly [
  delayMs: number,
  priority: number,
  group: string,
  lane: string | null,
  dedup: readonly [name: string, forMs: number, id: string] | null,
  after: readonly [ids: readonly string[], anyEnd: boolean, mayCome: boolean] | null,
]

export interface QueueFacts {
  readonly id: number
  readonly rules: QueueRules
  readonly version: number
}

/** The last of what a purge removes: of the batches, the single messages, the tasks, the dead letters. */
export type PurgeEnd = readonly [batches: number, singles: number, tasks: number, dead: number]

export interface PeekedBytes {
  readonly seq: number
  readonly state: 'ready' | 'delayed' | 'waiting' | 'leased'
  readonly starts: number
  readonly due: number | null
  readonly priority: number
  readonly group: string
  readonly after: readonly string[] | null
  readonly progress: string | null
  readonly data: Uint8Array
}

/** Records that follow each other in one partition. */
export interface StreamPart {
  readonly partition: number
  readonly position: number
  readonly count: number
  readonly appendedAt: number
  readonly versions: readonly (number | null)[] | null
  /** Of each record; null: one behind the other. */
  readonly positions: readonly number[] | null
  readonly data: Uint8Array
}

export interface FinishedBytes {
  readonly handle: number
  readonly starts: number
  readonly finishedAt: number
  readonly data: Uint8Array
}

export interface DeadBytes {
  readonly handle: number
  readonly reason: string
  readonly starts: number
  readonly diedAt: number
  readonly history: string | null
  readonly data: Uint8Array
}

/** The last sequence of the producer. */
export interface Duplicate {
  readonly sequence: number
}

/** What each kind of operation is answered with. */
export interface Answers {
  declareQueues: readonly QueueFacts[]
  /** Those of `tasks` that were not stored: pairs of index and the id of the other one. 'outdated': the rules are others by now. */
  send: readonly (readonly [number, string])[] | 'outdated'
  /** Callers beyond those that are counted got nothing. `nextDue`: when to look again, if nothing happens. */
  claim: { readonly claimed: readonly ClaimedBytes[]; readonly nextDue: number | null }
  /** 1 for settled, 0 for stale. */
  settle: readonly number[]
  /** 2 for extended but cancelled. */
  extend: readonly number[]
  redrive: number
  pause: null
  /** Pairs of index and 1 for removed, 2 for signalled; and where the next step goes on. */
  cancel: { readonly found: readonly (readonly [number, number])[]; readonly next: number | null }
  purge: { readonly removed: number; readonly until: PurgeEnd | null }
  /** 'outdated': the rules of the queue are others by now, and nothing was done. */
  putSchedule: 'stored' | 'stale' | 'outdated'
  removeSchedule: boolean
  declareStream: StreamFacts
  /** The position of the first record of each span. */
  append: readonly number[] | Duplicate
  appendVersions:
    | Duplicate
    | { readonly positions: readonly number[] }
    | { readonly index: number; readonly version: number }
  trim: null
  /** Whether there is more. */
  sweep: boolean
  retain: boolean
  join: null
  leave: null
  rejoin: null
  givenUp: null
  /** 1 for committed, 0 for stale. */
  commit: readonly number[]
  findQueue: QueueFacts | null
  queueNames: readonly string[]
  peek: readonly PeekedBytes[]
  count: QueueCount
  schedules: ScheduleList
  deadLetters: readonly DeadBytes[]
  finished: readonly FinishedBytes[]
  trimFinished: number
  findStream: StreamFacts | null
  streamNames: readonly string[]
  read: readonly StreamPart[]
  readKey: readonly StreamPart[]
  /** Earliest, next and up to where all was removed, for each partition in their order. */
  bounds: readonly number[]
  positionsAt: readonly number[]
  committed: readonly (number | null)[]
  groupNames: readonly string[]
}

export interface StreamFacts {
  readonly id: number
  readonly partitions: number
  readonly versions: boolean
}

/** From the caller's thread: what one turn of its event loop asked for. */
export interface Turn {
  /** Slabs that the storage thread has not seen yet. */
  readonly slabs: readonly (readonly [index: number, memory: SharedArrayBuffer])[]
  readonly writes: readonly WriteOperation[]
  readonly reads: readonly ReadOperation[]
  /** Slabs that will not be used any more. */
  readonly dropped: readonly number[]
}

export type Answer = { readonly ok: unknown } | { readonly failure: Failure }

/** A change in what a member has, in the order in which the caller is to be told. */
export type MemberNotice =
  | {
      readonly change: 'assigned'
      readonly member: number
      /** One for each partition. */
      readonly partitions: readonly number[]
      readonly generations: readonly number[]
      readonly committed: readonly (number | null)[]
    }
  | {
      readonly change: 'revoked'
      readonly member: number
      readonly partitions: readonly number[]
      readonly lost: boolean
    }

/** From the storage thread. Answers come in the order of the operations of their lane. */
export type Report =
  | {
      readonly kind: 'opened'
      readonly journalMode: string
      readonly synchronous: number
      readonly fullFsync: number
    }
  | { readonly kind: 'refused'; readonly failure: Failure }
  | {
      readonly kind: 'answers'
      readonly lane: 'writes' | 'reads'
      readonly answers: readonly Answer[]
      readonly wake: Wake | null
    }
  | { readonly kind: 'wake'; readonly wake: Wake | null }
  | { readonly kind: 'notices'; readonly notices: readonly MemberNotice[] }

/** Where something may have become claimable or readable. Null in a report of its own: anywhere. */
export interface Wake {
  readonly queues: readonly number[]
  readonly streams: readonly number[]
}

export interface StorageSetup {
  readonly path: string
  readonly wakeFolder: string
  readonly synchronous: 'full' | 'off'
  readonly busyTimeoutMs: number
  readonly retentionEveryMs: number
}
