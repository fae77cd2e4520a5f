// What a stream holds, read page by page outside any group: up to the end as it is now, or on and on.
import { describe, SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import type { PartitionBounds, PartitionPosition, StreamPort, StreamRecord } from '../ports/stream.ts'
import { lastRecords } from './last-records.ts'
import { checkStart, type Start, startPositions } from './start.ts'

export interface HistoryOptions {
  /** Default 'earliest'. */
  readonly from?: Start
  /** Go on with what is appended, until the iteration is left or the signal fires. Default false. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
}

const historyOptions: OptionNames<HistoryOptions> = { from: true, follow: true, signal: true }

const page = { maxRecords: 1_000, maxBytes: 4 << 20 }
/** How long one call waits: for what was trimmed since the ends were asked for, and for what is still to be appended. */
const waitForEndMs = 1_000
const waitForMoreMs = 30_000

/**
 * Every record from the start up to the end as it was when the reading began, in order per partition. The next page is asked
 * for before one is handed out, so that the engine reads while the caller works.
 */
export async function* readHistory(
  port: StreamPort,
  stream: string,
  options: HistoryOptions = {},
): AsyncGenerator<readonly StreamRecord[]> {
  checkOptions('read()', options, historyOptions)
  const start = checkStart(options.from ?? 'earliest')
  const bounds = await port.bounds(stream)
  const starts = await startPositions(port, stream, start, bounds)
  yield* readOn(port, stream, starts, options.follow ? undefined : bounds, options.signal)
}

/** The last `count` records of all partitions together, oldest first, and then what is appended. */
export async function* readTail(
  port: StreamPort,
  stream: string,
  count: number,
  signal?: AbortSignal,
): AsyncGenerator<readonly StreamRecord[]> {
  const bounds = await port.bounds(stream)
  const ends = bounds.map(({ partition, next }) => ({ partition, position: next }))
  if (count > 0) {
    const last = await lastRecords(count, {
      ends: bounds,
      read: (from) => readOn(port, stream, from, bounds, signal),
    })
    if (last.length > 0) yield last
  }
  yield* readOn(port, stream, ends, undefined, signal)
}

/** An engine may gather what is asked in a turn. Whoever takes a page event by event ends no turn before the page. */
const leaves = () => new Promise<void>((left) => process.nextTick(left))

/** Without ends it goes on for ever. */
async function* readOn(
  port: StreamPort,
  stream: string,
  starts: readonly PartitionPosition[],
  bounds: readonly PartitionBounds[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly StreamRecord[]> {
  const open = new Map(starts.map(({ partition, position }) => [partition, position]))
  const ends = bounds && new Map(bounds.map(({ partition, next }) => [partition, next]))
  const left = new AbortController()
  const signals = signal ? AbortSignal.any([signal, left.signal]) : left.signal
  const ask = (): Promise<StreamRecord[]> | undefined => {
    if (ends)
      for (const [partition, position] of open)
        if (position >= (ends.get(partition) ?? 0)) open.delete(partition)
    if (open.size === 0) return undefined
    const from = [...open].map(([partition, position]) => ({ partition, position }))
    const waitMs = ends ? waitForEndMs : waitForMoreMs
    const asked = port.read(stream, from, { ...page, waitMs, signal: signals })
    // Whoever leaves in between does not hear of it.
    asked.catch(() => {})
    return asked
  }
  try {
    for (let asked = ask(); asked; ) {
      const records = await asked
      signal?.throwIfAborted()
      // What was trimmed since the ends were asked for never comes.
      if (records.length === 0 && ends)
        for (const { partition, earliest } of await port.bounds(stream))
          if (earliest > (open.get(partition) ?? earliest)) open.set(partition, earliest)
      for (const { partition, position } of records) open.set(partition, position + 1)
      asked = ask()
      await leaves()
      const within = ends
        ? records.filter(({ partition, position }) => position < (ends.get(partition) ?? 0))
        : records
      if (within.length > 0) yield within
    }
  } finally {
    left.abort()
  }
}

/** The records of a key from a version on, to the last. The stream keeps versions. EVENTS_TRIMMED unless `partial`. */
export async function* readKeyHistory(
  port: StreamPort,
  stream: string,
  key: string,
  { fromVersion, limit, partial }: { fromVersion: number; limit: number; partial: boolean },
): AsyncGenerator<readonly StreamRecord[]> {
  let left = limit
  let expected = partial ? undefined : fromVersion
  const ask = (from: number) => {
    const asked = port.readKey(stream, key, {
      fromVersion: from,
      limit: Math.min(left, page.maxRecords),
    })
    asked.catch(() => {})
    return asked
  }
  for (let asked = ask(fromVersion); ; ) {
    const records = await asked
    const full = records.length === Math.min(left, page.maxRecords)
    left -= records.length
    const more = full && left > 0
    if (more) {
      asked = ask(records.at(-1)!.version! + 1)
      await leaves()
    }
    const first = records[0]?.version
    if (first !== undefined && expected !== undefined && first > expected)
      throw new SpillwayError(
        'EVENTS_TRIMMED',
        `The stream ${stream} keeps the key ${describe(key)} from its version ${first} on; versions ${expected} to ${first - 1} are gone.`,
        {
          details: { stream, key, earliest: first },
          remedy:
            'Begin with a state that was stored, and read from the version after it; or read with `partial`.',
        },
      )
    if (records.length > 0) yield records
    if (!more) return
    expected = undefined
  }
}
