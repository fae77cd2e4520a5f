// What a stream may forget without being asked.
import { SpillwayError } from '../core/errors.ts'
import { missing, type StreamCapabilities } from './capability.ts'

/**
 * Without anything in it everything is kept. Records go from the earliest on, when the engine finds the time and in the pieces that
 * it stores in: it may keep more than is said here, never less. Positions and versions go on counting, as after a trim.
 */
export interface Retention {
  /** Records are kept for this long after they were appended. At least 1,000. */
  readonly maxAgeMs?: number
  /** So many bytes of the newest records are kept: of the whole stream, or, where an engine counts so, an equal share of them in each partition. */
  readonly maxBytes?: number
  /**
   * Compaction, without limits beside it, and only with the capability: of each key in each partition the last record is kept, and those before it
   * go, when the engine finds the time. A last record that is a tombstone goes too, `tombstonesMs` after it was appended at the earliest: who comes by
   * within that time sees that the key has nothing more. What is left keeps its position, its version and its order, and of the records of a key the
   * earlier go before the later. The last record of a partition stays, whatever it is, so that whoever reads comes to `next`. Records without a key
   * are kept; an engine that cannot keep them refuses the call: INVALID_DATA.
   */
  readonly compact?: { readonly tombstonesMs: number }
}

/** What a retention says, in numbers that a store can keep; null for none. */
export interface Limits {
  readonly maxAgeMs: number | null
  readonly maxBytes: number | null
  /** Not null: the stream is compacted. */
  readonly tombstonesMs: number | null
}

/** Throws INVALID_OPTION for what is no retention, and CAPABILITY_MISSING for a compaction where there is none. */
export function limitsOf(
  engine: string,
  { compaction }: Pick<StreamCapabilities, 'compaction'>,
  { maxAgeMs, maxBytes, compact }: Retention,
): Limits {
  check(engine, 'maxAgeMs', maxAgeMs, 1_000)
  check(engine, 'maxBytes', maxBytes, 1)
  check(engine, 'tombstonesMs', compact?.tombstonesMs, 0)
  if (compact && (maxAgeMs ?? maxBytes) !== undefined)
    throw new SpillwayError(
      'INVALID_OPTION',
      'A stream that is compacted keeps the last of each key, however old and many.',
      {
        engine,
      },
    )
  if (compact && !compaction) throw missing(engine, 'stream', 'compaction')
  return {
    maxAgeMs: maxAgeMs ?? null,
    maxBytes: maxBytes ?? null,
    tombstonesMs: compact?.tombstonesMs ?? null,
  }
}

interface Keyed {
  readonly key?: string | undefined
  readonly tombstone?: boolean | undefined
}

/** Throws INVALID_OPTION for a tombstone without a key: nobody knows of what. */
export function checkTombstones(engine: string, records: readonly Keyed[]): void {
  for (const { key, tombstone } of records)
    if (tombstone && key === undefined)
      throw new SpillwayError(
        'INVALID_OPTION',
        'A tombstone says of its key that there is nothing more, and has none.',
        {
          engine,
        },
      )
}

function check(engine: string, name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `${name} of a retention is ${value}; it takes a whole number from ${least}.`,
    { engine },
  )
}
