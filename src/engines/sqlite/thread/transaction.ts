// What the parts of the store share while a group of operations is under way in one transaction.
import type { Slabs } from './spans.ts'

export interface Transaction {
  readonly now: number
  readonly slabs: Slabs
  /** Queues and streams whose waiting callers look again after the commit, in this process and in others. */
  readonly wakeQueues: Set<number>
  readonly wakeStreams: Set<number>
  /** Other processes have members that should look. */
  wakeMembers: boolean
  /** Our own members are to be told what they have. */
  tellGroups: boolean
}

/** A part of the store: it may keep in memory what it knows from the file. */
export interface Part {
  /** Writes what was held back in memory; called before the commit. */
  finish(transaction: Transaction): void
  /** Drops what it keeps: another process wrote, or the transaction was rolled back. */
  forget(rolledBack: boolean): void
}
