// What the contract of a queue says of how its messages are kept and handled: order, turns, limits, times.
import type { RetryOptions } from './backoff.ts'
import type { Duration } from './duration.ts'

/** A function of the data as it was sent. Written as a method, so that a contract of any data is a contract. */
export type OfData<In, Result> = { of(data: In): Result }['of']

/**
 * What is asked for here is kept by the engine, for all processes. An engine that cannot refuses it when the queue is opened,
 * or the topology started (CAPABILITY_MISSING). A queue that asks for nothing pays for nothing.
 */
export interface QueueBehaviour<In> {
  readonly retry?: RetryOptions
  /** How long a handler may take before its signal is aborted and the attempt fails. Default 5 min. */
  readonly deadline?: Duration
  /**
   * Messages with the same key are handled one at a time, in the order in which they were sent, also through retries: the
   * next one begins when the one before it is done or a dead letter. Those whose key is undefined are free.
   */
  readonly key?: OfData<In, string | undefined>
  /**
   * The highest of what can be handled comes first: a whole number from -100 to 100, 0 where it is undefined. A function of
   * the data, or `true` when only `send` says it. A low one waits as long as there are higher ones.
   */
  readonly priority?: true | OfData<In, number | undefined>
  /**
   * No second message with the same text is stored while one is in the queue, waiting or being handled; with `for`, not within
   * that time since it was sent either, whatever became of it. `true` when only `send` says it.
   */
  readonly dedup?:
    | true
    | OfData<In, string | undefined>
    | { readonly key: OfData<In, string | undefined>; readonly for: Duration }
  /** Whose message it is (a tenant's, say): groups take turns, whatever the length of their backlogs. */
  readonly group?: OfData<In, string | undefined>
  /** At most so many messages of one group are handled at the same time, by all processes together. */
  readonly groupConcurrency?: number
  /** At most so many messages of the queue are handled at the same time, by all processes together. */
  readonly maxConcurrency?: number
  /** At most so many messages are begun in that time, evenly, by all processes together: a bucket of `count`. */
  readonly rate?: { readonly count: number; readonly per: Duration }
  /**
   * Messages of this queue can wait for others (`send` with `after`), and others for them. Every queue of a flow needs it: how
   * messages end is remembered only there.
   */
  readonly flow?: true
  /** What was done is kept for a time, or the newest so many (up to 100,000), or both: see `Queue.finished`. */
  readonly keepFinished?: { readonly for?: Duration; readonly count?: number }
  /**
   * A message whose handling has not begun within this time since it was sent goes to the dead letters (EXPIRED). For
   * every engine: the time stands in the message.
   */
  readonly ttl?: Duration
}
