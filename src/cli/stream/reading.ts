// Reading a stream from outside every group: on from positions, and the last of it.
import type { PartitionBounds, PartitionPosition, StreamPort, StreamRecord } from '../../ports/stream.ts'

const page = { maxRecords: 1_000, maxBytes: 4 << 20 }
const waitMs = 1_000

type Ends = readonly PartitionBounds[]

/** Page by page up to the ends; without them for as long as the signal lets it. */
export async function* readOn(
  port: StreamPort,
  stream: string,
  from: readonly PartitionPosition[],
  { ends, signal }: { readonly ends?: Ends; readonly signal: AbortSignal },
): AsyncGenerator<readonly StreamRecord[]> {
  const places = new Map(from.map(({ partition, position }) => [partition, position]))
  const end = (partition: number) =>
    ends === undefined
      ? Number.POSITIVE_INFINITY
      : (ends.find((each) => each.partition === partition)?.next ?? 0)
  const dropRead = () => {
    for (const [partition, position] of places) if (position >= end(partition)) places.delete(partition)
  }
  for (dropRead(); places.size > 0 && !signal.aborted; dropRead()) {
    const at = [...places].map(([partition, position]) => ({ partition, position }))
    // Below an end there may be nothing more: positions have gaps, and records are trimmed. Then nobody waits for it.
    const records = await port.read(stream, at, { ...page, waitMs: ends === undefined ? waitMs : 0, signal })
    if (records.length === 0 && ends !== undefined) return
    for (const { partition, position } of records) places.set(partition, position + 1)
    const wanted = records.filter(({ partition, position }) => position < end(partition))
    if (wanted.length > 0) yield wanted
  }
}

/**
 * The last `count` records that fit, by the time of their appending. Positions may have gaps, and few records may fit: it
 * looks further and further back until there are enough.
 */
export async function lastOf(
  port: StreamPort,
  stream: string,
  count: number,
  { ends, signal }: { readonly ends: Ends; readonly signal: AbortSignal },
  fits: (record: StreamRecord) => boolean,
): Promise<readonly StreamRecord[]> {
  for (let back = count; ; back *= 8) {
    const from = ends.map(({ partition, earliest, next }) => ({
      partition,
      position: Math.max(earliest, next - back),
    }))
    const found: StreamRecord[] = []
    /** When the first record was appended that was looked at, by partition. */
    const since = new Map<number, number>()
    for await (const records of readOn(port, stream, from, { ends, signal })) {
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
    if (seen || signal.aborted) return last
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
