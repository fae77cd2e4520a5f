// What can go wrong with a server, in one shape inside this folder, and its translation at the engine's edge.
import { asError, isSpillwayError, SpillwayError } from '../../core/errors.ts'

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
      retryable: false,
    })
  if (thrown.passing)
    return new SpillwayError('ENGINE_UNAVAILABLE', `NATS failed while ${doing}: ${thrown.message}.`, options)
  return new SpillwayError('ENGINE_FAILED', `NATS refused ${doing}: ${thrown.message}.`, options)
}

export function closedError(): SpillwayError {
  return new SpillwayError('CLOSED', 'The engine is closed.', { engine: 'nats' })
}
