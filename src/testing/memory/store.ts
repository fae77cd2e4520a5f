// What an in-memory engine keeps: it outlives the engine, as files and servers outlive theirs.
import type { SharedBucket } from '../../core/bucket/exchange.ts'
import { type Clock, systemClock } from '../../core/clock.ts'
import type { Backlog } from './backlog.ts'
import { Flows } from './flows.ts'
import { Capacity, checkOption } from './limits.ts'
import type { Log } from './log.ts'

export interface MemoryStoreOptions {
  /** Where all time comes from: leases, delays, waits, sessions, dates. Default: the system's clock. */
  readonly clock?: Clock
  /** How many messages are kept in all, dead letters and stream records included; more is BACKLOG_FULL. Default 1,000,000. */
  readonly maxMessages?: number
}

/** Opaque: made by `memoryStore`, given to `memory`. */
export class MemoryStore {
  readonly clock: Clock
  readonly capacity: Capacity
  readonly backlogs: Map<string, Backlog> = new Map()
  readonly flows: Flows
  readonly logs: Map<string, Log> = new Map()
  readonly buckets: Map<string, SharedBucket> = new Map()

  constructor({ clock = systemClock, maxMessages = 1_000_000 }: MemoryStoreOptions) {
    checkOption('maxMessages', maxMessages, 1, 'count')
    this.clock = clock
    this.flows = new Flows(clock)
    this.capacity = new Capacity('The memory engine', maxMessages)
  }
}

/** Room for several engines to share, as several processes share a database, or for one to find again after `close`. */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new MemoryStore(options)
}
