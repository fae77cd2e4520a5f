// How far a consumer group is behind the end of its stream.
import type { StreamPort } from '../ports/stream.ts'

export interface PartitionLag {
  readonly partition: number
  /** The position that the group wants next; null while it has none. */
  readonly committed: number | null
  readonly next: number
  /** How many positions it is behind: at most that many events. */
  readonly lag: number
}

export interface GroupLag {
  readonly total: number
  readonly partitions: readonly PartitionLag[]
}

/** What the group has still to finish of what the stream keeps now, as far as it told the engine. */
export async function lagOf(port: StreamPort, stream: string, group: string): Promise<GroupLag> {
  const bounds = await port.bounds(stream)
  const committed = await port.committed(stream, group)
  const positions = new Map(committed.map(({ partition, position }) => [partition, position]))
  const partitions = bounds.map(({ partition, earliest, next }) => {
    const position = positions.get(partition) ?? null
    const lag = Math.max(0, next - Math.max(position ?? 0, earliest))
    return { partition, committed: position, next, lag }
  })
  return { total: partitions.reduce((sum, { lag }) => sum + lag, 0), partitions }
}
