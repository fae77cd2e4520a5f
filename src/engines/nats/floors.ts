// Where the partitions of a stream were trimmed: a mark for each, beside the groups. The server only knows from where on it has messages of the
// whole stream; of a partition that was silent, what stood below need not have been anything.
import type { Api } from './api.ts'
import { BatchReader, positionOf, sequenceOf } from './record-batch.ts'
import type { KnownStream } from './streams.ts'

export interface Floor {
  /** Records below it are hidden, and gone as far as they fill messages. */
  readonly low: number
  /** From `low` up to here the partition never had any. */
  readonly clear: number
}

const none: Floor = { low: 0, clear: 0 }

export async function floorOf(api: Api, { names }: KnownStream, partition: number): Promise<Floor> {
  const mark = await api.message(names.groups, { last_by_subj: subjectOf(names.groupsBase, partition) })
  if (mark === undefined) return none
  const [low, clear] = mark.data.toString().split(' ').map(Number) as [number, number?]
  return { low, clear: clear ?? low }
}

/** Everything that the partition ever had at or above it is kept. `first`: from where on the server has messages of the stream. */
export function completeFrom({ low, clear }: Floor, first: number): number {
  return first <= clear ? low : Math.max(low, first)
}

export async function storeFloor(
  api: Api,
  { names }: KnownStream,
  partition: number,
  { low, clear }: Floor,
): Promise<void> {
  await api.persist(() => api.store(subjectOf(names.groupsBase, partition), `${low} ${clear}`))
}

/** Where the first message stands that has a record at or above a position; undefined when there is none. */
export async function firstAbove(
  api: Api,
  { names }: KnownStream,
  partition: number,
  position: number,
): Promise<number | undefined> {
  const subject = `${names.base}.${partition}`
  for (let seq = Math.max(1, sequenceOf(position)); ; seq++) {
    const found = await api.message(names.stream, { seq, next_by_subj: subject })
    if (found === undefined) return undefined
    const { count } = new BatchReader(found.data, found.sequence, found.time)
    if (positionOf(found.sequence) + count > position) return found.sequence
  }
}

function subjectOf(base: string, partition: number): string {
  return `${base}.low.${partition}`
}
