// What can go wrong with a server, in one shape inside this folder, and its translation at the engine's edge.
import { asError, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { type TlsTrouble, type TlsWords, tlsTrouble } from '../../core/tls.ts'

/** JetStream's own error codes that mean something to us. */
export const apiCode = {
  noSuitablePeers: 10005,
  notAvailable: 10008,
  consumerNotFound: 10014,
  insufficientResources: 10023,
  messageNotFound: 10037,
  sequenceNotFound: 10043,
  notEnabledForAccount: 10039,
  storageExceeded: 10047,
  messageDeleteFailed: 10057,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  subjectsOverlap: 10065,
  wrongLastSequence: 10071,
  noReplicasOnOneServer: 10074,
  notEnabled: 10076,
  duplicateUnderWay: 10158,
  wrongLastSequenceInCluster: 10164,
  batchIsDuplicate: 10201,
  tooManyBatches: 10210,
  streamStoreFailed: 10077,
} as const

const words: TlsWords = {
  ca: '`?ca=…` in the url or the option `tls: { ca }`',
  clientCertificate: '`?cert=…&key=…` in the url or the option `tls: { cert, key }`',
  on: 'ask for it: `?tls=true` in the url or the option `tls: true`',
  off: 'do not ask for it: no `tls`, `ca` or `cert` in the url or the options',
}

/** LOGIN: the server does not let us in. NETWORK: the connection broke. SILENT: no answer in time. ABSENT: nobody answers to the subject. API: JetStream refused. */
export type FaultKind = 'LOGIN' | 'NETWORK' | 'SILENT' | 'ABSENT' | 'API'

export class Fault extends Error {
  readonly kind: FaultKind
  /** JetStream's code, for the kind API. */
  readonly code: number
  /** Whether it goes away by itself: servers restart, leaders move. */
  readonly passing: boolean
  /** Whether what was asked for may have been done. */
  readonly ambiguous: boolean

  constructor(
    kind: FaultKind,
    message: string,
    options: { code?: number; status?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.kind = kind
    this.code = options.code ?? 0
    const busy = options.status === 503 || options.status === 429
    this.passing =
      (kind !== 'API' && kind !== 'LOGIN') || passing.has(this.code) || (busy && !lasting.has(this.code))
    this.ambiguous = kind === 'NETWORK' || kind === 'SILENT'
  }
}

const passing: ReadonlySet<number> = new Set([apiCode.duplicateUnderWay, apiCode.tooManyBatches])
const lasting: ReadonlySet<number> = new Set([
  apiCode.notEnabled,
  apiCode.notEnabledForAccount,
  apiCode.storageExceeded,
  apiCode.insufficientResources,
  apiCode.streamStoreFailed,
])

export function isFault(thrown: unknown, code: number): thrown is Fault {
  return thrown instanceof Fault && thrown.code === code
}

/** The error that the caller sees. `doing` completes "NATS failed while …". */
export function translate(thrown: unknown, doing: string): Error {
  if (isSpillwayError(thrown)) return thrown
  if (!(thrown instanceof Fault)) return asError(thrown)
  const options = { engine: 'nats', cause: thrown, details: { nats: thrown.code || thrown.kind } }
  switch (thrown.code) {
    case apiCode.storageExceeded:
    case apiCode.insufficientResources:
      return new SpillwayError('STORE_FULL', `NATS has no room left (${doing}): ${thrown.message}.`, options)
    case apiCode.streamStoreFailed:
      if (/no space|exceeded|resource/i.test(thrown.message))
        return new SpillwayError('STORE_FULL', `NATS could not store (${doing}): ${thrown.message}.`, options)
  }
  if (thrown.kind === 'LOGIN')
    return new SpillwayError('ENGINE_UNAVAILABLE', `NATS refused the login (${doing}): ${thrown.message}.`, {
      ...options,
      remedy: loginRemedy,
      retryable: false,
    })
  const found = tlsTrouble(thrown, words) ?? clientTrouble(thrown.message)
  if (found !== undefined)
    return new SpillwayError('ENGINE_UNAVAILABLE', `NATS cannot be reached (${doing}): ${found.what}.`, {
      ...options,
      remedy: found.remedy,
      // Who was connected before goes on trying: it is set right at the server.
      retryable: found.passing || !doing.startsWith('connecting'),
    })
  if (thrown.message === 'timeout' && doing.startsWith('connecting'))
    return new SpillwayError('ENGINE_UNAVAILABLE', `NATS did not answer in time (${doing}).`, {
      ...options,
      remedy: silentRemedy,
    })
  if (thrown.passing)
    return new SpillwayError('ENGINE_UNAVAILABLE', `NATS failed while ${doing}: ${thrown.message}.`, options)
  return new SpillwayError('ENGINE_FAILED', `NATS refused ${doing}: ${thrown.message}.`, options)
}

const loginRemedy =
  'Check the login: `user:password@` or `token@` in the url, with what is special in them percent-encoded (%40 for @), or one of the options `user` and `password`, `token`, `creds`, `nkey`.'

/** What the client library says of a server that it does not get on with, in words of its own. */
function clientTrouble(message: string): TlsTrouble | undefined {
  if (message.includes("does not support 'tls'"))
    return { what: 'the server has no TLS', remedy: `Set tls there, or ${words.off}.`, passing: false }
  // With TLS refused here and required there, the client library fails in its own way.
  if (message.includes("'tls'") || message.includes("'certFile'"))
    return {
      what: 'the server takes encrypted connections only',
      remedy: `If that is right, ${words.on}.`,
      passing: false,
    }
  return undefined
}

/** A connection was made, and then nothing came. */
const silentRemedy = `Check the server. It may want the certificate of this program: ${words.clientCertificate}; or a handshake first: the option \`tls: { handshakeFirst: true }\`.`

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The engine is closed.', { engine: 'nats' })
}
