// The state of sagas in a service's own database. It is written by a unit (`CommitUnit.saga`), with what the step sends and the mark that its
// message was handled; this port only looks, and removes what has ended long ago.

/** Names an instance: names as of queues, ids as of messages. */
export interface SagaName {
  readonly saga: string
  readonly id: string
}

/** Compare and set: 'conflict', and nothing of the unit is stored, unless the instance has this version. */
export interface SagaWrite extends SagaName {
  /** 0: there is no such instance, nor one that has ended. */
  readonly expected: number
  /** Opaque. Null: it ends. */
  readonly body: string | null
}

export interface SagaInstance extends SagaName {
  /** How often it was written, from 1. */
  readonly version: number
  /** Null: it has ended. */
  readonly body: string | null
  /** When it was written last: milliseconds since the epoch, by the database's clock. */
  readonly changedAt: number
}

export interface SagaPort {
  /** Durable when it resolves, as far as others act on it: a state that is lost in a power failure makes a unit that expects it a conflict. */
  get(saga: string, id: string): Promise<SagaInstance | undefined>
  /** Instances of a saga, also those that have ended, by their ids, after the given one. */
  list(saga: string, options: { readonly limit: number; readonly after?: string }): Promise<SagaInstance[]>
  /** Removes instances that ended before the time (epoch ms), a bounded number a call; resolves with how many. */
  prune(before: number): Promise<number>
}
