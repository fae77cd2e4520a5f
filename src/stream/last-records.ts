// The last records of a stream, over all partitions.
import type { PartitionBounds, PartitionPosition, StreamRecord } from '../ports/stream.ts'

export interface LastOptions {
  readonly ends: readonly PartitionBounds[]
  /** Reads from these positions to the ends. */
  read(from: readonly PartitionPosition[]): AsyncIterable<readonly StreamRecord[]>
  /** Which of them count. Default: all. */
  fits?(record: StreamRecord): boolean
  /** Then what was found so far is enough. */
  readonly signal?: AbortSignal | undefined
}

/** How much further back each look goes. */
const further = 8

/**
 * The last `count` records that fit, by the time of their appending. Positions may have gaps, and few records may fit: it
 * looks further and further back until there are enough.
 */
export async function lastRecords(count: number, options: LastOptions): Promise<readonly StreamRecord[]> {
  const { ends, read, fits = () => true, signal } = options
  for (let back = count; ; back *= further) {
    const from = ends.map(({ partition, earliest, next }) => ({
      partition,
      position: Math.max(earliest, next - back),
    }))
    const found: StreamRecord[] = []
    /** When the first record was appended that was looked at, by partition. */
    const since = new Map<number, number>()
    for await (const records of read(from)) {
      for (const { partition, appendedAt } of records)
        if (!since.has(partition)) since.set(partition, appendedAt)
      found.push(...records.filter(fits))
      // Of each partition only the last can be among them.
      if (found.length > count * ends.length + 10_000) keepLast(found, count)
    }
    const last = inTime(found).slice(-count)
    // None that was not looked at can be younger than the oldest of them.
    const seen = from.every(
      ({ partition, position }, index) =>
        position === ends[index]!.earliest ||
        (last.length === count && (since.get(partition) ?? Number.POSITIVE_INFINITY) <= last[0]!.appendedAt),
    )
    if (seen || signal?.aborted) return last
  }
}

function keepLast(found: StreamRecord[], count: number): void {
  const kept = new Map<number, StreamRecord[]>()
  for (const record of found) {
    const list = kept.get(record.partition) ?? []
    kept.set(record.partition, list)
    list.push(record)
  }
  found.length = 0
  for (const list of kept.values()) found.push(...list.slice(-count))
}

function inTime(records: readonly StreamRecord[]): StreamRecord[] {
  return [...records].sort(
    (a, b) => a.appendedAt - b.appendedAt || a.partition - b.partition || a.position - b.position,
  )
}
