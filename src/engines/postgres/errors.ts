// Native errors of PostgreSQL and of its client, translated at the engine's edge.
import { asError, type ErrorCode, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { type TlsTrouble, type TlsWords, tlsTrouble } from '../../core/tls.ts'

/** Classes and codes of SQLSTATE (PostgreSQL manual, appendix A) that mean more than "refused". */
const byState: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  '08': ['ENGINE_UNAVAILABLE', 'The connection to PostgreSQL was lost'],
  '28': ['ENGINE_UNAVAILABLE', 'PostgreSQL refused the login'],
  '3D000': ['ENGINE_UNAVAILABLE', 'The database does not exist'],
  '53100': ['STORE_FULL', 'The disk of the PostgreSQL server is full'],
  '53': ['ENGINE_UNAVAILABLE', 'PostgreSQL lacks resources'],
  '57': ['ENGINE_UNAVAILABLE', 'PostgreSQL ended the connection or the query'],
  '25006': ['ENGINE_UNAVAILABLE', 'PostgreSQL takes no writes here'],
  '25P03': ['ENGINE_UNAVAILABLE', 'PostgreSQL ended a transaction that stood still'],
  '25P04': ['ENGINE_UNAVAILABLE', 'PostgreSQL ended a transaction that took too long'],
  '55P03': ['ENGINE_UNAVAILABLE', 'PostgreSQL gave up waiting for a lock'],
  '40': ['ENGINE_FAILED', 'PostgreSQL rolled the transaction back'],
  XX001: ['STORE_CORRUPT', 'PostgreSQL found damaged data'],
  XX002: ['STORE_CORRUPT', 'PostgreSQL found a damaged index'],
}

/** Refusals that no repetition heals. */
const lasting: ReadonlySet<string> = new Set(['28P01', '28000', '3D000'])

const words: TlsWords = {
  ca: '`sslrootcert=…` in the url or the option `tls: { ca }`',
  clientCertificate: '`sslcert=…&sslkey=…` in the url or the option `tls: { cert, key }`',
  on: 'ask for it: `?sslmode=verify-full` in the url or the option `tls: true`',
  off: 'do not ask for it: no `sslmode` in the url, or `?sslmode=disable`',
}

/** What a statement fails with in a transaction that another one's failure has aborted. */
export const aborted = '25P02'

/** The SQLSTATE of an error that the server raised; undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown }
  // The operating system's EPIPE looks like one.
  if (syscall !== undefined) return undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Any error as a SpillwayError. An error without SQLSTATE came from the connection, not from the server. `where`: while connecting to it. */
export function translate(thrown: unknown, where?: string): SpillwayError {
  if (isSpillwayError(thrown)) return thrown
  const error = asError(thrown)
  const state = sqlState(error)
  const options = { engine: 'postgres', cause: error }
  const at = where === undefined ? '' : ` at ${where}`
  if (state === undefined) {
    const found = tlsTrouble(error, words) ?? clientTrouble(error.message)
    return new SpillwayError(
      'ENGINE_UNAVAILABLE',
      `PostgreSQL${at} cannot be reached: ${found?.what ?? reasonOf(error)}.`,
      found === undefined
        ? options
        : // Who was connected before goes on trying: it is set right at the server.
          { ...options, remedy: found.remedy, retryable: found.passing || where === undefined },
    )
  }
  // What a pooler says to the settings of a session, before there is one.
  if (state === '08P01' && error.message.includes('startup parameter'))
    return new SpillwayError(
      'CONFIGURATION',
      `A connection pooler refused the settings of a session (${error.message}). Behind one in transaction mode, like PgBouncer, write ?listen=false in the url.`,
      options,
    )
  const [code, what] = byState[state] ?? byState[state.slice(0, 2)] ?? ['ENGINE_FAILED', 'PostgreSQL refused']
  const retryable = state.startsWith('40') ? true : lasting.has(state) ? false : undefined
  const remedy = loginRemedy(state, error.message)
  return new SpillwayError(code, `${what}${at}: ${error.message} (${state}).`, {
    ...options,
    ...(remedy === undefined ? {} : { remedy }),
    ...(retryable === undefined ? {} : { retryable }),
  })
}

/** What the client library says of a server that it does not get on with, in words of its own. */
function clientTrouble(message: string): TlsTrouble | undefined {
  if (message.includes('does not support SSL'))
    return { what: 'the server has no TLS', remedy: `Set ssl = on there, or ${words.off}.`, passing: false }
  if (message.startsWith('SASL: ') && /password must be a/.test(message))
    return {
      what: 'the server asks for a password, and there is none',
      remedy: passwordRemedy,
      passing: false,
    }
  if (message.startsWith('SASL: '))
    return { what: `the login failed (${message})`, remedy: passwordRemedy, passing: false }
  return undefined
}

const passwordRemedy =
  'Check user and password: in the url, with what is special in them percent-encoded (%40 for @), or in PGUSER and PGPASSWORD.'

function loginRemedy(state: string, message: string): string | undefined {
  if (state === '28P01') return passwordRemedy
  if (state !== '28000') return undefined
  if (message.includes('no encryption'))
    return `If the server takes encrypted connections only (hostssl in its pg_hba.conf), ${words.on}.`
  if (message.includes('client certificate'))
    return `Give a client certificate, as ${words.clientCertificate}.`
  return 'Check user and database, and the pg_hba.conf of the server.'
}

/** A connection refused on several addresses has its reasons in `errors` and no message of its own. */
function reasonOf(error: Error): string {
  if (error.message !== '') return error.message
  if (error instanceof AggregateError) return error.errors.map((one) => asError(one).message).join(', ')
  return error.name
}

/** The server ended the transaction against another one; the same statement is likely to succeed now. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error)
  return state === '40001' || state === '40P01'
}

export function closed(): SpillwayError {
  return new SpillwayError('CLOSED', 'The engine postgres was closed.', { engine: 'postgres' })
}
