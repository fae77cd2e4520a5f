// An engine: what stores and delivers. It implements one port per primitive that it can carry, and says what it can do.
import type { LimitPort } from './limit.ts'
import type { QueuePort } from './queue.ts'
import type { StreamPort } from './stream.ts'

export interface Engine {
  /** 'sqlite', 'postgres', 'kafka', …: as it stands in error messages and in the capability table. */
  readonly name: string
  /** Where it is, without secrets. */
  readonly url: string
  /** What was really found when the engine was opened. */
  readonly durability: Durability
  readonly queue: QueuePort | undefined
  readonly stream: StreamPort | undefined
  /** Absent or undefined where it keeps no buckets of limits. */
  readonly limit?: LimitPort | undefined
  /**
   * Ends waiting calls (`claim` and `read` resolve with nothing), flushes what was accepted, lets go of every
   * connection, thread and file. Memberships end without a further callback; their partitions are free, their `commit`
   * rejects with CLOSED, `leave` resolves. Resolves when nothing is left; later calls reject with CLOSED. Idempotent.
   */
  close(): Promise<void>
}

export interface Durability {
  /**
   * What survives once a write has resolved: `power-loss` a power failure of one machine, `process` the death of
   * the process (`kill -9`) but not of the machine, `none` neither.
   */
  readonly level: 'power-loss' | 'process' | 'none'
  /** How, in one sentence for people: "synchronous=FULL; every commit is fsynced". */
  readonly statement: string
  /** Every setting found that weakens the promise, in words, with what to set. Empty when there is none. */
  readonly weaknesses: readonly string[]
}

/** Options that every engine's factory takes. */
export interface EngineOptions {
  /** Refuse to open (DURABILITY) when `durability.level` is not 'power-loss'. Default false: it is reported. */
  readonly strict?: boolean
}
