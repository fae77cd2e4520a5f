// What a system must offer to be measured: the same few acts for Spillway, its peers and the limits.
import type { Payload } from '../workloads/payload.ts'

/** What an opened queue is used for: a peer may have another best setting for each. */
export type Purpose = 'send' | 'consume' | 'latency'

export interface QueueSystem {
  /** Whether messages can be consumed too; a limit only takes them. */
  readonly consumes: boolean
  /** Removes everything that earlier measurements left at this place. */
  clear(url: string): Promise<void>
  open(url: string, purpose: Purpose): Promise<BenchQueue>
}

export interface BenchQueue {
  /** What survives once a send has resolved, as far as it could be found out. */
  readonly durability: string
  /** Resolves when the message is kept. Absent where a limit has no such thing. */
  send?(payload: Payload): Promise<unknown>
  /** Resolves when all are kept. */
  sendMany(payloads: readonly Payload[]): Promise<unknown>
  /** Starts to hand messages to the handler; a message is acknowledged after the handler returned. */
  consume?(handler: (payload: Payload) => void, concurrency: number): Promise<Consuming>
  /** How many messages are not acknowledged. */
  left?(): Promise<number>
  close(): Promise<void>
}

export interface Consuming {
  /** Resolves when every message that was handled is acknowledged as durably as the system can. */
  stop(): Promise<void>
}

export interface StreamSystem {
  readonly reads: boolean
  clear(url: string): Promise<void>
  open(url: string): Promise<BenchStream>
}

export interface BenchStream {
  readonly durability: string
  append?(payload: Payload): Promise<unknown>
  appendMany(payloads: readonly Payload[]): Promise<unknown>
  /** Reads from the first event to the last one there is, decoded. */
  read?(handler: (payload: Payload) => void, count: number): Promise<void>
  close(): Promise<void>
}

export interface CallSystem {
  open(url: string): Promise<BenchCalls>
}

/** Each is absent where a system has no such thing. */
export interface BenchCalls {
  /** What stands around the calls, in words. */
  readonly durability: string
  /** Calls a function that has its answer at once, through breaker and bulkhead. */
  immediate?(): Promise<unknown>
  /** Asks a server for something that changes nothing. */
  query?(): Promise<void>
  /** Asks a server for something for which it commits one row. */
  command?(): Promise<void>
  close(): Promise<void>
}

export interface TransactionSystem {
  clear(url: string): Promise<void>
  open(url: string): Promise<BenchTransactions>
}

/** Each is absent where a system has no such thing. */
export interface BenchTransactions {
  readonly durability: string
  /** Works off so many messages, each with a row in the service's database and a message to another queue. Resolves with messages a second. */
  handle?(count: number): Promise<number>
  /** Milliseconds from the end of a transaction's work, right before its commit, to the start of the handler of what it sent. */
  commits?(kind: 'message' | 'event', count: number): Promise<number[]>
  /** Moves so many rows of an outbox to another engine, in order per key. Resolves with events a second. */
  relay?(count: number): Promise<number>
  close(): Promise<void>
}

export interface LimitSystem {
  open(): Promise<BenchLimits>
}

export interface BenchLimits {
  /** Where the counts are, in words. */
  readonly durability: string
  /** Decides about each of these, by one rule or by three at once; all are allowed. */
  decide(rules: 1 | 3, keys: readonly string[]): void | Promise<void>
  /** Decides about a key of which ten are allowed in a day. */
  remember(key: string): unknown
}

export type Kind = 'queue' | 'stream' | 'call' | 'transaction' | 'limit'
export type Role = 'spillway' | 'peer' | 'limit'

/** The servers that `servers.ts` can start; 'folder' is an empty folder. */
export type PlaceName =
  | 'folder'
  | 'redis-always'
  | 'redis-none'
  | 'postgres'
  | 'nats-always'
  | 'nats-interval'
  | 'kafka'

/** A line of the list of systems. Clients are loaded only in the process that measures them. */
export interface Entry {
  /** As in `--only` and in the results. */
  readonly name: string
  readonly title: string
  readonly role: Role
  readonly place: PlaceName
  /** The package whose version goes with the results. */
  readonly client?: string
  readonly queue?: () => Promise<QueueSystem>
  readonly stream?: () => Promise<StreamSystem>
  readonly call?: () => Promise<CallSystem>
  readonly transaction?: () => Promise<TransactionSystem>
  readonly limit?: () => Promise<LimitSystem>
}
