// Where reading begins, turned into a position for every partition.
import { describe, SpillwayError } from '../core/errors.ts'
import type { PartitionBounds, PartitionPosition, StreamPort } from '../ports/stream.ts'

/** Where reading starts: the first event kept, the next one to come, a time, the last so many of each partition, or positions. */
export type Start = 'earliest' | 'latest' | Date | { readonly last: number } | readonly PartitionPosition[]

const mostLast = 10_000

function isLast(start: Start): boolean {
  return typeof start === 'object' && start !== null && 'last' in start && checkLast(start.last) >= 0
}

/** Throws INVALID_OPTION for what is no start. */
export function checkStart(start: Start): Start {
  if (Array.isArray(start)) for (const place of start) checkPlace(place)
  const isStart =
    start === 'earliest' ||
    start === 'latest' ||
    Array.isArray(start) ||
    isLast(start) ||
    (start instanceof Date && !Number.isNaN(start.getTime()))
  if (isStart) return start
  const shown = start instanceof Date ? 'an invalid Date' : describe(start)
  throw new SpillwayError(
    'INVALID_OPTION',
    `from is ${shown}; it takes 'earliest', 'latest', a Date, { last: number }, or a list of { partition, position }.`,
  )
}

/** A partition that positions do not name starts at its earliest. */
export async function startPositions(
  port: StreamPort,
  stream: string,
  start: Start,
  bounds: readonly PartitionBounds[],
): Promise<PartitionPosition[]> {
  if (start instanceof Date) return port.positionsAt(stream, start.getTime())
  if (start === 'latest') return bounds.map(({ partition, next }) => ({ partition, position: next }))
  if (start === 'earliest')
    return bounds.map(({ partition, earliest }) => ({ partition, position: earliest }))
  if ('last' in start)
    return bounds.map(({ partition, earliest, next }) => {
      return { partition, position: Math.max(earliest, next - checkLast(start.last)) }
    })
  const named = new Map(start.map(({ partition, position }) => [partition, position]))
  for (const partition of named.keys())
    if (!bounds.some((of) => of.partition === partition))
      throw new SpillwayError(
        'INVALID_OPTION',
        `from names partition ${partition}; ${stream} has ${bounds.length}, numbered from 0.`,
      )
  return bounds.map(({ partition, earliest }) => ({ partition, position: named.get(partition) ?? earliest }))
}

function checkPlace(place: PartitionPosition): void {
  const { partition, position } = Object(place) as Partial<PartitionPosition>
  for (const [name, value] of Object.entries({ partition, position }))
    if (!Number.isSafeInteger(value) || Number(value) < 0)
      throw new SpillwayError(
        'INVALID_OPTION',
        `from has a ${name} that is ${describe(value)}; it takes a whole number from 0 on.`,
      )
}

/** Throws INVALID_OPTION for a number of last events that nobody could hold. */
export function checkLast(count: number): number {
  if (Number.isInteger(count) && count >= 0 && count <= mostLast) return count
  throw new SpillwayError(
    'INVALID_OPTION',
    `The number of last events is ${count}; it takes a whole number from 0 to ${mostLast}.`,
  )
}
