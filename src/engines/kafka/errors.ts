// What can go wrong with a broker, in one shape inside this folder, and its translation at the engine's edge.
import { isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { type TlsTrouble, type TlsWords, tlsTrouble } from '../../core/tls.ts'

/** A failed request. `id` is the name of Kafka's error code, or NETWORK, or SILENT: no answer in time. */
export class Fault extends Error {
  readonly id: string

  constructor(id: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Fault'
    this.id = id
  }

  /** Going away by itself: leaders and coordinators move, brokers restart. */
  get passing(): boolean {
    return passing.has(this.id)
  }

  /** Whether a write that ended so may still have been stored. */
  get ambiguous(): boolean {
    return ambiguous.has(this.id)
  }
}

const passing: ReadonlySet<string> = new Set([
  'NETWORK',
  'SILENT',
  'CORRUPT_MESSAGE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'OFFSET_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_CONTROLLER',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'UNSTABLE_OFFSET_COMMIT',
  'THROTTLING_QUOTA_EXCEEDED',
])

const ambiguous: ReadonlySet<string> = new Set([
  'NETWORK',
  'SILENT',
  'NETWORK_EXCEPTION',
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'UNKNOWN_SERVER_ERROR',
])

const words: TlsWords = {
  ca: '`?ca=…` in the url or the option `tls: { ca }`',
  clientCertificate: '`?cert=…&key=…` in the url or the option `tls: { cert, key }`',
  on: 'ask for it: `?tls=true` in the url or the option `tls: true`',
  off: 'do not ask for it: no `tls`, `ca` or `cert` in the url or the options',
}

/** What a broker says that does not get on with what it is called with, and the client library of it. */
function clientTrouble(message: string): TlsTrouble | undefined {
  if (message.includes('requires TLS'))
    return {
      what: 'the broker takes encrypted connections only there',
      remedy: `If that is right, ${words.on}.`,
      passing: false,
    }
  if (message.includes('Connection closed'))
    return {
      what: 'the broker ended the connection without an answer',
      remedy:
        'Check the broker. It does the same to whom it expects to log in (`user:password@` in the url, or the option `sasl`) or to speak TLS (`?tls=true`).',
      passing: true,
    }
  return undefined
}

const loginRemedy =
  'Check user and password: in front of the host in the url, with what is special in them percent-encoded (%40 for @), or the option `sasl`. Brokers know a user by the way to log in too: `?sasl=scram-sha-512`.'

/** The error that the caller sees. `doing` completes "Kafka failed while …". */
export function translate(thrown: unknown, doing: string): unknown {
  if (!(thrown instanceof Fault)) return thrown
  const options = { engine: 'kafka', cause: thrown, details: { kafka: thrown.id } }
  if (isSpillwayError(thrown.cause)) return thrown.cause
  switch (thrown.id) {
    case 'SASL_AUTHENTICATION_FAILED':
      return new SpillwayError(
        'ENGINE_UNAVAILABLE',
        `Kafka refused the login (${doing}): ${thrown.message}.`,
        {
          ...options,
          remedy: loginRemedy,
          retryable: false,
        },
      )
    case 'UNSUPPORTED_VERSION':
      return new SpillwayError('ENGINE_TOO_OLD', thrown.message, options)
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return new SpillwayError('UNKNOWN_STREAM', `Kafka has no topic for this stream (${doing}).`, options)
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return new SpillwayError('TOO_LARGE', `Kafka refused a record as too large (${doing}).`, options)
    case 'INVALID_SESSION_TIMEOUT':
      return new SpillwayError('INVALID_OPTION', `Kafka refused the session time (${doing}).`, options)
  }
  const connecting = doing.startsWith('connecting')
  const found = tlsTrouble(thrown, words) ?? (connecting ? clientTrouble(thrown.message) : undefined)
  if (found !== undefined)
    return new SpillwayError('ENGINE_UNAVAILABLE', `Kafka cannot be reached (${doing}): ${found.what}.`, {
      ...options,
      remedy: found.remedy,
      // Who was connected before goes on trying: it is set right at the broker.
      retryable: found.passing || !connecting,
    })
  if (thrown.passing)
    return new SpillwayError('ENGINE_UNAVAILABLE', `Kafka failed while ${doing}: ${thrown.message}.`, options)
  return new SpillwayError('ENGINE_FAILED', `Kafka refused ${doing}: ${thrown.message}.`, options)
}

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The engine is closed.', { engine: 'kafka' })
}
