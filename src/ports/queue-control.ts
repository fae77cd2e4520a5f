// What an operator, or the program of one, does to a queue. Each method is a capability; without it, it rejects with
// CAPABILITY_MISSING. All are durable when they resolve.

export interface QueueControl {
  /**
   * While a queue is paused no claim leases anything, in any process; sends, settlements and extensions go on. Stays over
   * restarts until it is resumed. Idempotent. Capability `pause`.
   */
  pause(queue: string): Promise<void>
  resume(queue: string): Promise<void>

  /**
   * Messages that are not dead letters, without claiming them: roughly the oldest first, at most `limit` (fewer when their
   * bodies are large, none only when there are none), after the given handle. A snapshot of a moving queue. Capability `peek`.
   */
  peek(queue: string, options: PeekOptions): Promise<PeekedMessage[]>

  /**
   * Cancels messages by their ids (all that have the id). One that waits is removed. One that is leased is removed when its lease
   * ends, however it ends, and never becomes a dead letter; until then `extend` answers `cancelled`. A dead letter is not touched. One
   * result for each id, `signalled` if it is so for any message that has it. May cost a look at the whole backlog. Capability `cancel`.
   */
  cancel(queue: string, ids: readonly string[]): Promise<CancelResult[]>

  /**
   * Removes all messages that are not leased, or all dead letters, that were there when it was called; resolves with how many. For
   * a large queue it is done in bounded steps: when it rejects, some may be gone. Capability `purge`.
   */
  purge(queue: string, what: 'waiting' | 'dead'): Promise<number>

  /**
   * Messages that were settled `done` in a queue with the rule `finished`, the newest first, at most `limit`, after (that is: older
   * than) the given handle. Capability `finished`.
   */
  finished(queue: string, options: PeekOptions): Promise<FinishedMessage[]>

  /**
   * Removes some of the finished messages that need not be kept any more: a bounded number in one short transaction; resolves with how many. 0 when
   * there are none, or no rule. Without the rule nothing is kept: then all are removed. Capability `finished`.
   */
  trimFinished(queue: string): Promise<number>
}

export interface PeekOptions {
  /** From 1 to 1,000. */
  readonly limit: number
  readonly after?: string | undefined
}

export interface PeekedMessage {
  /** Names the place in the queue, for `after`. Opaque. */
  readonly handle: string
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  readonly state: 'ready' | 'delayed' | 'waiting' | 'leased'
  readonly starts: number
  /** When its delay, retry or lease ends: milliseconds since the epoch. Undefined when it is ready or waits for others. */
  readonly due: number | undefined
  readonly priority: number
  readonly group: string | undefined
  /** Only when it waits: the ids of the others, at most 10 of them. */
  readonly after?: readonly string[]
  /** Only when it is leased, and its holder has said so: JSON. */
  readonly progress?: string
}

export interface FinishedMessage {
  /** Names the place, for `after`. Opaque. */
  readonly handle: string
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  readonly starts: number
  /** Milliseconds since the epoch. */
  readonly finishedAt: number
}

/** `removed`: it waited and is gone. `signalled`: it is leased, and goes with its lease. `unknown`: no such message but dead letters. */
export type CancelResult = 'removed' | 'signalled' | 'unknown'
