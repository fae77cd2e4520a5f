// Removing the beginning of a stream by hand.
import type { PartitionBounds, StreamPort } from '../ports/stream.ts'
import { checkStart, type Start, startPositions } from './start.ts'

/** Of one partition: from where on it keeps its events now, and how many positions went at most. */
export interface TrimmedPartition {
  readonly partition: number
  readonly position: number
  readonly gone: number
}

/** What trimming before a place would remove, of what there is now. Partitions that would lose nothing are left out. */
export async function trimPlan(
  port: StreamPort,
  stream: string,
  before: Start,
  bounds: readonly PartitionBounds[],
): Promise<TrimmedPartition[]> {
  const starts = await startPositions(port, stream, checkStart(before), bounds)
  const ranges = new Map(bounds.map((each) => [each.partition, each]))
  return starts.flatMap(({ partition, position: wanted }) => {
    const { earliest, next } = ranges.get(partition)!
    const position = Math.min(wanted, next)
    return position > earliest ? [{ partition, position, gone: position - earliest }] : []
  })
}

export async function trimStream(port: StreamPort, stream: string, before: Start): Promise<void> {
  const plan = await trimPlan(port, stream, before, await port.bounds(stream))
  await port.trim(
    stream,
    plan.map(({ partition, position }) => ({ partition, position })),
  )
}
