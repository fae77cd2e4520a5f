// How a call can end for who asked: three outcomes, because a timeout says nothing of what the other side did.
import type { CallContract, FailureSchemas, ReceivedFailure } from './call-contract.ts'
import type { SpillwayError } from './errors.ts'

/** The other side did what was asked, and this is what it answered. */
export interface CallOk<Answered> {
  readonly status: 'ok'
  readonly value: Answered
  /** The value is the caller's own `fallback`: nobody answered. */
  readonly fallback?: true
}

/** It is certain that nothing was done: refused here, refused there, or never sent. `error.retryable` says whether asking again may help. */
export interface CallFailed {
  readonly status: 'failed'
  readonly reason: 'error'
  readonly data: undefined
  readonly error: SpillwayError
}

/** The request left and no answer came: the other side may have done it, or may yet do it. */
export interface CallUnknown<Result> {
  readonly status: 'unknown'
  /** The idempotency key of a command: asking with it again gives the one true answer. Of a query, undefined: it changes nothing. */
  readonly key: string | undefined
  readonly error: SpillwayError
  /** Asks again with the same key, within a new deadline. A `signal` of the asking that has fired by now is not heeded. */
  again(): Promise<Result>
}

export type CallResult<Answered, Failures extends FailureSchemas = Readonly<Record<never, never>>> =
  | CallOk<Answered>
  | ReceivedFailure<Failures>
  | CallFailed
  | CallUnknown<CallResult<Answered, Failures>>

/** The result of a call by its contract. */
export type ResultOf<C extends CallContract> =
  C extends CallContract<infer _Ask, infer _Asked, infer _Answer, infer Answered, infer Failures>
    ? CallResult<Answered, Failures>
    : never
