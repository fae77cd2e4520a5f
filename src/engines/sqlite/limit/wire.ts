// What crosses between the caller's thread and the thread of the buckets.
import type { LimitExchange, LimitVerdict } from '../../../ports/limit.ts'
import type { Failure } from '../native-error.ts'

export interface LimitSetup {
  readonly path: string
  readonly synchronous: 'normal' | 'off'
  readonly busyTimeoutMs: number
  readonly sweepEveryMs: number
}

export type LimitCall = readonly LimitExchange[] | 'sweep'

/** A turn of the caller's event loop has its calls in one message. */
export type LimitMessage = readonly LimitCall[] | 'close'

export type LimitAnswer = { readonly ok: LimitVerdict[] | number } | { readonly failure: Failure }

/** In the order of the calls; or why the file cannot be used: then the thread ends. */
export type LimitReport = readonly LimitAnswer[] | { readonly refused: Failure }
