// The port by which a handler, an answer or a program calls another context; what is behind it is the client of src/call/client.
import type { CallContract, FailureSchemas } from '../core/call-contract.ts'
import type { CallResult } from '../core/call-result.ts'
import type { Duration } from '../core/duration.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'

export interface AskOptions<Answered = unknown> {
  /**
   * The idempotency key of a command: 1 to 200 visible ASCII characters. Default: in a handler, one that is the same whenever its message is handled
   * again; elsewhere a new one. Of a key that was used before, `failed` says that this asking did nothing, not that no earlier one did.
   */
  readonly key?: string
  /** How long to wait, retries included. Default: the contract's. Within an answer never more than is left of its own deadline. */
  readonly deadline?: Duration
  /** Ends the wait and closes the request, so that the far side may stop too. What left by then is `unknown`. */
  readonly signal?: AbortSignal
  /**
   * The value, or what gives it, where nobody answered: the call failed without a declared error, or a query is unknown. An unknown command has no
   * fallback: it may have been done.
   */
  readonly fallback?: Answered | (() => Answered)
}

export const askOptionNames: OptionNames<AskOptions> = {
  key: true,
  deadline: true,
  signal: true,
  fallback: true,
}

export function checkAskOptions(type: string, options: AskOptions): void {
  checkOptions(`A call of ${type}`, options, askOptionNames)
}

/** Who asks, and on whose behalf. */
export interface CallOrigin {
  /** The context that asks. */
  readonly caller: string
  /** The default key of a command. */
  readonly key?: string | undefined
  /** When that key came into the world, milliseconds since the epoch. Default: now. */
  readonly keyMadeMs?: number | undefined
  /** Somebody may have asked with that key before: what is certain of this asking alone is then no certainty. */
  readonly askedBefore?: boolean | undefined
  /** By the clock's `elapsed()`: the end of the deadline of whoever asks. */
  readonly endsMs?: number | undefined
  /** Whoever asks is answering a call itself: the first of the chain retries. */
  readonly nested?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** The id of the first message of the chain. */
  readonly correlationId?: string | undefined
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
}

export interface CallPort {
  /**
   * Asks. Never rejects because of the far side, the network or the input: that is what the three outcomes are for. Throws, at once,
   * INVALID_OPTION for options that cannot work, and CLOSED after `close`.
   */
  call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options: AskOptions<Answered>,
    origin: CallOrigin,
  ): Promise<CallResult<Answered, Failures>>
}

/** What calls for a handler, an answer or a program. */
export interface Calling {
  /**
   * Calls another context, or one's own, and waits: see `CallResult` for the three ways in which it ends. Outside I/O like any other: throws
   * OUTSIDE_IO, at once, in a commit or after it.
   */
  call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options?: AskOptions<Answered>,
  ): Promise<CallResult<Answered, Failures>>
}
