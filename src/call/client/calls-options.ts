// How one context is called by this process: breaker, bulkhead, retries, credentials, connections.
import type { CallContract } from '../../core/call-contract.ts'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { SpillwayError } from '../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../core/known-options.ts'
import type { RetryBudgetOptions } from '../../core/retry-budget.ts'
import { readTls, type SecureOptions, type TlsFiles } from '../../core/tls.ts'
import { wholeOption } from '../../core/whole-option.ts'
import type { BreakerOptions } from '../breaker-rules.ts'
import type { BulkheadOptions } from '../bulkhead.ts'

/** Headers that say who asks, made anew for every attempt. */
export type Credentials =
  | Readonly<Record<string, string>>
  | ((
      call: Pick<CallContract, 'type' | 'version' | 'kind'>,
    ) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>)

export interface CallRetryOptions {
  /** How often one call asks, the first time included. Default 3; 1: once. */
  readonly attempts?: number
  /** The bound of the first pause, which grows twofold; each pause is anything up to its bound. Default 25 ms. */
  readonly initial?: Duration
  /** The bound of every pause. Default 1 s. */
  readonly max?: Duration
}

export interface CallsOptions {
  readonly breaker?: BreakerOptions
  readonly bulkhead?: BulkheadOptions
  readonly retry?: CallRetryOptions
  readonly retryBudget?: RetryBudgetOptions
  readonly credentials?: Credentials
  /** For addresses with https: whom to trust, and a certificate of this program. */
  readonly tls?: TlsFiles
  /** Connections to each instance. Default 50. */
  readonly connections?: number
  /** No larger answer is read. Default 8 MiB. */
  readonly maxAnswerBytes?: number
}

const names: OptionNames<CallsOptions> = {
  breaker: true,
  bulkhead: true,
  retry: true,
  retryBudget: true,
  credentials: true,
  tls: true,
  connections: true,
  maxAnswerBytes: true,
}
const retryNames: OptionNames<CallRetryOptions> = { attempts: true, initial: true, max: true }

export interface CallsRules {
  readonly attempts: number
  readonly initialMs: number
  readonly maxMs: number
  readonly connections: number
  readonly maxAnswerBytes: number
  readonly tls: SecureOptions | undefined
  readonly credentials: Credentials | undefined
}

/** Throws INVALID_OPTION for what cannot work. What the policies take they check themselves. */
export function callsRules(context: string, options: CallsOptions, maxAnswerBytes: number): CallsRules {
  checkOptions(`calls.${context}`, options, names)
  const { retry = {}, credentials } = options
  checkOptions(`calls.${context}.retry`, retry, retryNames)
  if (credentials !== undefined && typeof credentials !== 'function' && typeof credentials !== 'object')
    throw new SpillwayError(
      'INVALID_OPTION',
      `calls.${context}.credentials is neither an object with headers nor a function that gives one.`,
    )
  return {
    attempts: wholeOption(retry.attempts ?? 3, 'retry.attempts', 1, 100),
    initialMs: milliseconds(retry.initial ?? 25, 'retry.initial'),
    maxMs: milliseconds(retry.max ?? '1s', 'retry.max'),
    connections: wholeOption(options.connections ?? 50, 'connections', 1, 10_000),
    maxAnswerBytes: wholeOption(options.maxAnswerBytes ?? maxAnswerBytes, 'maxAnswerBytes', 1, 2 ** 30),
    tls: readTls('call', options.tls),
    credentials,
  }
}
