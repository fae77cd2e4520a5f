// What SQLite reports, translated into SpillwayErrors at the engine's edge; and the form in which an error
// crosses from the storage thread to the caller's.
import { asError, type ErrorCode, errorCodes, SpillwayError } from '../../core/errors.ts'

/** SQLite's primary result codes that mean something to us. The extended code has them in its low byte. */
const primary = {
  ERROR: 1,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const

/** An error as plain data. */
export interface Failure {
  readonly code: ErrorCode
  readonly what: string
  readonly retryable?: boolean
  readonly details?: Readonly<Record<string, unknown>>
  /** The message of the native error. */
  readonly native?: string
}

function codeOf(thrown: unknown): number | undefined {
  const { errcode, code } = (thrown ?? {}) as { readonly errcode?: unknown; readonly code?: unknown }
  if (typeof errcode === 'number') return errcode & 0xff
  // better-sqlite3 has names instead, like SQLITE_BUSY and SQLITE_IOERR_WRITE.
  const name = typeof code === 'string' ? /^SQLITE_([A-Z]+)/.exec(code)?.[1] : undefined
  return name === undefined ? undefined : (primary[name as keyof typeof primary] ?? primary.ERROR)
}

/** True while another connection holds a lock: the same statement may succeed in a moment. */
export function isBusy(thrown: unknown): boolean {
  const code = codeOf(thrown)
  return code === primary.BUSY || code === primary.LOCKED
}

/** IOERR_FSYNC and IOERR_DIR_FSYNC. */
const syncFailures: readonly unknown[] = [1034, 1290]

/** True when the system could not sync: nothing that was written can be called durable from then on. */
export function isSyncFailure(thrown: unknown): boolean {
  return syncFailures.includes((thrown as { errcode?: unknown } | null | undefined)?.errcode)
}

/** True when a handle that only reads would have to write, to recover from a crash. */
export function isReadOnly(thrown: unknown): boolean {
  return codeOf(thrown) === primary.READONLY
}

/** True for errors that came from SQLite, as opposed to a defect of ours or an error of the user's function. */
export function isNative(thrown: unknown): boolean {
  return codeOf(thrown) !== undefined
}

/** For rows that SQLite reads and that cannot be what was written: the same as its own report of damage. */
export function damaged(what: string): Error {
  return Object.assign(new Error(what), { errcode: primary.CORRUPT })
}

/** Anything thrown, as plain data. */
export function failureOf(thrown: unknown, path: string): Failure {
  if (thrown instanceof SpillwayError) return dismantle(thrown)
  const native = asError(thrown).message
  const system = thrown as NodeJS.ErrnoException
  if (system?.syscall !== undefined) {
    const code = system.code === 'ENOSPC' ? 'STORE_FULL' : 'ENGINE_FAILED'
    return { code, what: `${path} cannot be used: ${native}.`, details: { path, native }, native }
  }
  if (!isNative(thrown))
    return {
      code: 'INTERNAL',
      what: `The storage of ${path} failed: ${native}.`,
      native: asError(thrown).stack ?? native,
    }
  const details = { path, native }
  switch (codeOf(thrown)) {
    case primary.BUSY:
    case primary.LOCKED:
      return {
        code: 'ENGINE_UNAVAILABLE',
        what: `Another process kept ${path} locked for too long.`,
        details,
        native,
      }
    case primary.FULL:
      return { code: 'STORE_FULL', what: `${path} cannot grow.`, details, native }
    case primary.CORRUPT:
      return { code: 'STORE_CORRUPT', what: `${path} is damaged: ${native}.`, details, native }
    case primary.NOTADB:
      return { code: 'STORE_CORRUPT', what: `${path} is not an SQLite database.`, details, native }
    case primary.IOERR:
    case primary.CANTOPEN:
    case primary.READONLY:
      return {
        code: 'ENGINE_FAILED',
        what: `${path} cannot be read or written: ${native}.`,
        retryable: true,
        details,
        native,
      }
    default:
      return { code: 'ENGINE_FAILED', what: `SQLite failed on ${path}: ${native}.`, details, native }
  }
}

function dismantle(error: SpillwayError): Failure {
  const { code, message, retryable, details, cause } = error
  // The constructor will add the remedy again.
  const what = message.replace(` ${errorCodes[code].remedy} [${code}]`, '')
  return {
    code,
    what,
    retryable,
    ...(details === undefined ? {} : { details }),
    ...(cause === undefined ? {} : { native: asError(cause).message }),
  }
}

export function toError(failure: Failure, cause?: unknown): SpillwayError {
  const { code, what, retryable, details, native } = failure
  return new SpillwayError(code, what, {
    engine: 'sqlite',
    ...(retryable === undefined ? {} : { retryable }),
    ...(details === undefined ? {} : { details }),
    ...(cause !== undefined ? { cause } : native !== undefined ? { cause: new Error(native) } : {}),
  })
}

/** A SpillwayError for anything that a statement threw; one that is a SpillwayError already stays as it is. */
export function translate(thrown: unknown, path: string): SpillwayError {
  return thrown instanceof SpillwayError ? thrown : toError(failureOf(thrown, path), thrown)
}
