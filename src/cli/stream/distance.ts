// How many events lie between positions and the ends of a stream.
import type { PartitionBounds, PartitionPosition, StreamPort } from '../../ports/stream.ts'
import { count } from '../output/words.ts'
import { readOn } from './reading.ts'

/** Engines whose positions rise by much more than 1: there the events themselves have to be counted. */
const sparse: ReadonlySet<string> = new Set(['nats'])
/** Reading more only to count it would burden the engine. */
const mostCounted = 10_000

export interface Distance {
  readonly events: number
  /** False: it is at least so many. */
  readonly exact: boolean
}

/** Whether positions tell how many events there are. */
export function tellsEvents(engine: string): boolean {
  return !sparse.has(engine)
}

/** For every partition, in the order of the ends. */
export async function distances(
  engine: string,
  port: StreamPort,
  stream: string,
  from: readonly PartitionPosition[],
  ends: readonly PartitionBounds[],
): Promise<Distance[]> {
  const starts = new Map(from.map(({ partition, position }) => [partition, position]))
  const start = ({ partition, earliest }: PartitionBounds) => Math.max(starts.get(partition) ?? 0, earliest)
  if (tellsEvents(engine))
    return ends.map((end) => ({ events: Math.max(0, end.next - start(end)), exact: true }))
  const counts = new Map<number, number>()
  const places = ends.map((end) => ({ partition: end.partition, position: start(end) }))
  let total = 0
  for await (const records of readOn(port, stream, places, { ends, signal: new AbortController().signal })) {
    for (const { partition } of records) counts.set(partition, (counts.get(partition) ?? 0) + 1)
    total += records.length
    if (total >= mostCounted) break
  }
  return ends.map(({ partition }) => ({ events: counts.get(partition) ?? 0, exact: total < mostCounted }))
}

export function inWords({ events, exact }: Distance): string {
  return exact ? count(events) : `${count(events)}+`
}
