// Reading a stream from outside every group, on from positions, until somebody has seen enough.
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
