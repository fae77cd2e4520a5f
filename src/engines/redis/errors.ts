// What can go wrong with a server, translated at the engine's edge.
import { asError, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { type TlsWords, tlsTrouble } from '../../core/tls.ts'

const words: TlsWords = {
  ca: '`?ca=…` in the url or the option `tls: { ca }`',
  clientCertificate: '`?cert=…&key=…` in the url or the option `tls: { cert, key }`',
  on: 'ask for it: `rediss://` in the url',
  off: 'do not ask for it: `redis://` in the url',
}

/** No answer came: whether it was done is not known, except where it is said that nothing was sent. */
export class Silence extends Error {}

/** The first word of an answer that is an error: NOSCRIPT, OOM, READONLY, … Redis 6 says what went wrong in a script behind that it did. */
export function wordOf(thrown: unknown): string {
  const { message } = asError(thrown)
  return (
    (/^ERR Error running script .*?: -([A-Z]{2,})\b/.exec(message) ?? /^([A-Z]{2,})\b/.exec(message))?.[1] ??
    ''
  )
}

const passing: ReadonlySet<string> = new Set([
  'LOADING',
  'MASTERDOWN',
  'READONLY',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'BUSY',
  'NOREPLICAS',
])
const login: ReadonlySet<string> = new Set(['NOAUTH', 'WRONGPASS'])
const answers: ReadonlySet<string> = new Set(['ErrorReply', 'SimpleError', 'BlobError'])

/** A server said so: then it was reached. */
export function isAnswer(thrown: unknown): boolean {
  return answers.has(asError(thrown).constructor.name)
}

/** The error that the caller sees. `doing` completes "Redis failed while …". */
export function translate(thrown: unknown, doing: string): SpillwayError {
  if (isSpillwayError(thrown)) return thrown
  const cause = asError(thrown)
  const word = wordOf(cause)
  const said = cause.message.replace(/\.$/, '')
  const options = { engine: 'redis', cause, details: { redis: word || cause.name } }
  if (login.has(word) || /without any password configured/.test(cause.message))
    return new SpillwayError('ENGINE_UNAVAILABLE', `Redis refused the login (${doing}): ${said}.`, {
      ...options,
      remedy:
        'Check the login: `user:password@` or `:password@` in the url, with what is special in them percent-encoded (%40 for @), or the options `user` and `password`.',
      retryable: false,
    })
  if (word === 'NOPERM' || /user executing the script can't run this command/.test(cause.message))
    return new SpillwayError('CONFIGURATION', `Redis refused ${doing}: ${said}.`, {
      ...options,
      remedy: `Give the user what the engine needs: ACL SETUSER … ~spillway:* +evalsha +eval +get +set +time +info +ping +client|setname.`,
    })
  if (word === 'OOM' || word === 'MISCONF')
    return new SpillwayError('STORE_FULL', `Redis takes no writes (${doing}): ${said}.`, {
      ...options,
      remedy: 'Nothing of this call was stored. Raise maxmemory, or free the disk, and try again.',
    })
  const found = tlsTrouble(cause, words)
  if (found !== undefined)
    return new SpillwayError('ENGINE_UNAVAILABLE', `Redis cannot be reached (${doing}): ${found.what}.`, {
      ...options,
      remedy: found.remedy,
      retryable: found.passing || !doing.startsWith('connecting'),
    })
  if (passing.has(word) || !isAnswer(cause))
    return new SpillwayError('ENGINE_UNAVAILABLE', `Redis failed while ${doing}: ${said}.`, options)
  return new SpillwayError('ENGINE_FAILED', `Redis refused ${doing}: ${said}.`, options)
}

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The engine is closed.', { engine: 'redis' })
}
