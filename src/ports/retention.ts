// What a stream may forget without being asked.
import { SpillwayError } from '../core/errors.ts'

/**
 * Without anything in it everything is kept. Records go from the earliest on, when the engine finds the time and in the pieces that
 * it stores in: it may keep more than is said here, never less. Positions and versions go on counting, as after a trim.
 */
export interface Retention {
  /** Records are kept for this long after they were appended. At least 1,000. */
  readonly maxAgeMs?: number
  /** So many bytes of the newest records are kept: of the whole stream, or, where an engine counts so, an equal share of them in each partition. */
  readonly maxBytes?: number
}

/** What both limits say, in numbers that a store can keep; null for none. */
export interface Limits {
  readonly maxAgeMs: number | null
  readonly maxBytes: number | null
}

/** Throws INVALID_OPTION for limits that are none. */
export function limitsOf(engine: string, { maxAgeMs, maxBytes }: Retention): Limits {
  check(engine, 'maxAgeMs', maxAgeMs, 1_000)
  check(engine, 'maxBytes', maxBytes, 1)
  return { maxAgeMs: maxAgeMs ?? null, maxBytes: maxBytes ?? null }
}

function check(engine: string, name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `${name} of a retention is ${value}; it takes a whole number from ${least}.`,
    { engine },
  )
}
