// Parking: events of a group that are put aside in the service's own database, with their position, until they are let go. What
// is parked, and what leaves, does so in the transaction of a unit (`CommitUnit.park`, `CommitUnit.unpark`); this port only looks.

/** Names a partition of a stream for one group. */
export interface PartitionOfGroup {
  readonly stream: string
  readonly group: string
  readonly partition: number
}

export interface ParkedEvent {
  readonly position: number
  readonly key: string | undefined
  /** The encoded message. Opaque, returned byte for byte. */
  readonly body: string
  /** Milliseconds since the epoch, by the engine's clock. */
  readonly appendedAt: number
  /** Why it failed; why it waits. */
  readonly reason: string
  /** How often it was tried: 0 for one that waits behind another of its key. */
  readonly attempts: number
}

export interface ParkingPort {
  /** The parked events of a partition by position, above `after`: of one key, of those without key (null), or all. */
  list(of: PartitionOfGroup, options: ListParked): Promise<ParkedEvent[]>
  /** How many events of a partition are parked, and the keys that they have. */
  summary(of: PartitionOfGroup): Promise<{ readonly count: number; readonly keys: readonly string[] }>
}

export interface ListParked {
  readonly after?: number | undefined
  readonly key?: string | null | undefined
  readonly limit: number
}
