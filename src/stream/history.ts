// What a stream holds now: read once from a start to the end, outside any group.
import type { StreamPort, StreamRecord } from '../ports/stream.ts'
import { checkStart, type Start, startPositions } from './start.ts'

export interface HistoryOptions {
  /** Default 'earliest'. */
  readonly from?: Start
  readonly signal?: AbortSignal
}

/** Every record from the start up to the end as it was when the reading began, partition by partition in order. */
export async function* readHistory(
  port: StreamPort,
  stream: string,
  options: HistoryOptions = {},
): AsyncGenerator<StreamRecord> {
  const start = checkStart(options.from ?? 'earliest')
  const bounds = await port.bounds(stream)
  const starts = await startPositions(port, stream, start, bounds)
  const open = new Map(starts.map(({ partition, position }) => [partition, position]))
  const ends = new Map(bounds.map(({ partition, next }) => [partition, next]))
  const drop = () => {
    for (const [partition, position] of open)
      if (position >= (ends.get(partition) ?? 0)) open.delete(partition)
  }
  // What was trimmed since the ends were asked for never comes.
  const passTrimmed = async () => {
    for (const { partition, earliest } of await port.bounds(stream))
      if (earliest > (open.get(partition) ?? earliest)) open.set(partition, earliest)
  }
  for (drop(); open.size > 0; drop()) {
    const from = [...open].map(([partition, position]) => ({ partition, position }))
    const records = await port.read(stream, from, {
      maxRecords: 1_000,
      maxBytes: 4 << 20,
      waitMs: 1_000,
      signal: options.signal,
    })
    options.signal?.throwIfAborted()
    if (records.length === 0) await passTrimmed()
    for (const record of records) {
      open.set(record.partition, record.position + 1)
      if (record.position < (ends.get(record.partition) ?? 0)) yield record
    }
  }
}
