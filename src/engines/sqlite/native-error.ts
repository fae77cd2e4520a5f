// What SQLite reports, translated into SpillwayErrors at the engine's edge.
import { asError, SpillwayError } from '../../core/errors.ts'

/** SQLite's primary result codes that mean something to us. The extended code has them in its low byte. */
const primary = {
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const

function codeOf(thrown: unknown): number | undefined {
  const code = (thrown as { errcode?: unknown } | null | undefined)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** True while another connection holds a lock: the same statement may succeed in a moment. */
export function isBusy(thrown: unknown): boolean {
  const code = codeOf(thrown)
  return code === primary.BUSY || code === primary.LOCKED
}

/** True for errors that came from SQLite, as opposed to a defect of ours or an error of the user's function. */
export function isNative(thrown: unknown): boolean {
  return codeOf(thrown) !== undefined
}

/** A SpillwayError for anything that a statement threw; one that is a SpillwayError already stays as it is. */
export function translate(thrown: unknown, path: string): SpillwayError {
  if (thrown instanceof SpillwayError) return thrown
  const cause = asError(thrown)
  const options = { engine: 'sqlite', cause, details: { path, native: cause.message } }
  switch (codeOf(thrown)) {
    case primary.BUSY:
    case primary.LOCKED:
      return new SpillwayError(
        'ENGINE_UNAVAILABLE',
        `Another process kept ${path} locked for too long.`,
        options,
      )
    case primary.FULL:
      return new SpillwayError('STORE_FULL', `${path} cannot grow.`, options)
    case primary.CORRUPT:
      return new SpillwayError('STORE_CORRUPT', `${path} is damaged: ${cause.message}.`, options)
    case primary.NOTADB:
      return new SpillwayError('STORE_CORRUPT', `${path} is not an SQLite database.`, options)
    case primary.IOERR:
    case primary.CANTOPEN:
    case primary.READONLY:
      return new SpillwayError('ENGINE_FAILED', `${path} cannot be written: ${cause.message}.`, {
        ...options,
        retryable: true,
      })
    default:
      return new SpillwayError('ENGINE_FAILED', `SQLite failed on ${path}: ${cause.message}.`, options)
  }
}
