// What client and server say to each other (docs/decisions/0019): paths, headers, bounds and problem details.
import { type ErrorCode, errorCodes } from '../core/errors.ts'

export const headers = {
  /** Milliseconds that are left to the caller. */
  deadline: 'spillway-deadline',
  key: 'idempotency-key',
  /** Milliseconds since the key was made; 0 only of a key that was made for this request and goes out for the first time. */
  keyAge: 'spillway-key-age',
  /** The context that asks, for people. */
  caller: 'spillway-caller',
  /** '1': the caller is answering a call itself. */
  nested: 'spillway-nested',
  /** The id of the first message of the chain that the call belongs to. */
  correlation: 'spillway-correlation',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  /** 'true' of an answer that was stored before. */
  replay: 'x-idempotent-replay',
} as const

/** Who has more time than an hour does not wait for a call. */
export const longestDeadlineMs = 3_600_000

/** Of one input, and of a batch of them. */
export const maxInputBytes: number = 2 ** 20
export const maxBatchBytes: number = 8 * 2 ** 20
export const maxBatch = 100
/** Of one answer: a server gives no larger one, a client reads no further. And of the answers to a batch together. */
export const maxAnswerBytes: number = 8 * 2 ** 20
export const maxBatchAnswerBytes: number = 64 * 2 ** 20

export const jsonType = 'application/json'
export const problemType = 'application/problem+json'

/** The path of a call; `?batch` is added for several inputs. */
export function pathOf({ type, version }: { readonly type: string; readonly version: number }): string {
  return `/calls/${type}/${version}`
}

/** RFC 9457 problem details, as every answer but 200 has them. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  /** Of the table of errors; absent of an error that the contract declares. */
  readonly code?: ErrorCode
  /** Of an error that the contract declares: its name, and what is said of it. */
  readonly failure?: string
  readonly data?: unknown
  /** Of RATE_LIMITED: when the same call would be let in, if nobody else asks. */
  readonly retryAfterMs?: number
  /** Of INVALID_DATA. */
  readonly issues?: readonly { readonly path: string; readonly message: string }[]
}

export function problemOf(
  status: number,
  code: ErrorCode,
  detail: string,
  more: Pick<Problem, 'issues' | 'retryAfterMs'> = {},
): Problem {
  return {
    type: `urn:spillway:problem:${code}`,
    title: errorCodes[code].meaning,
    status,
    code,
    detail,
    ...more,
  }
}

export function failureProblem(call: string, failure: string, data: unknown): Problem {
  const title = `${call} answers ${failure}.`
  return { type: `urn:spillway:failure:${call}:${failure}`, title, status: 422, detail: title, failure, data }
}

/** One of the answers to a batch. `body` is the output, or the problem; absent where the output is undefined. */
export interface BatchElement {
  readonly status: number
  readonly body?: unknown
}
