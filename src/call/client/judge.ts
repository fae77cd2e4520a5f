// What an answer, or that there was none, says of a call: the table "what is certain, and what is not" of decision 19.
import type { CallContract } from '../../core/call-contract.ts'
import { type ErrorCode, errorCodes, SpillwayError } from '../../core/errors.ts'
import { type Checked, check, type Problem as Issue, listProblems } from '../../core/schema.ts'
import { jsonType, type Problem, problemType } from '../wire.ts'
import type { Broken, Seen } from './exchange.ts'

/**
 * `settled`: what was answered is true for ever, whatever became of earlier askings with this key. `refused`: this asking did nothing. `unknown`:
 * it may have done something.
 */
export type Judgement<Settled> =
  | { readonly kind: 'settled'; readonly settled: Settled }
  | { readonly kind: 'refused' | 'unknown'; readonly error: SpillwayError; readonly again: Again }

/** Whether asking again may help; `elsewhere`: another instance only, which may be of a newer version. */
export type Again = boolean | 'elsewhere'

/** What settles one input: the answer, an error that the contract declares, or an error that no asking again changes. */
export type Settled =
  | { readonly status: 'ok'; readonly value: unknown }
  | {
      readonly status: 'failed'
      readonly reason: string
      readonly data: unknown
      readonly error: SpillwayError
    }

/** Refusals by a status that need no proof that they come from Spillway: gateways say them too, and have done nothing. */
const refusals: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_DATA',
  401: 'NOT_ACCEPTED',
  403: 'NOT_ACCEPTED',
  404: 'UNKNOWN_CALL',
  405: 'INVALID_REQUEST',
  413: 'TOO_LARGE',
  415: 'INVALID_REQUEST',
  429: 'OVERLOADED',
}
/** What a proxy says too, who knows nothing of what became of the request behind it: only a problem of Spillway's own is believed. */
const ownRefusals: Readonly<Record<number, ErrorCode>> = {
  410: 'KEY_TOO_OLD',
  500: 'ANSWER_FAILED',
  503: 'OVERLOADED',
}

/** No whole answer. */
export function judgeBroken(type: string, seen: Broken): Judgement<never> {
  const { left, by, error } = seen
  if (!left) {
    if (by === 'headers')
      return refused(
        'CONFIGURATION',
        `${type} was not asked: its credentials are no headers (${reasonOf(error)}).`,
        false,
        error,
      )
    if (by === 'network')
      return refused('UNREACHABLE', `${type} was not asked: ${reasonOf(error)}.`, true, error)
    if (by === 'deadline') return refused('DEADLINE', `${type} was not asked before its deadline.`, false)
    return refused('ABORTED', `${type} was not asked: its caller gave up.`, false)
  }
  if (by === 'deadline') return unknown('DEADLINE', `${type} did not answer before its deadline.`, false)
  if (by === 'aborted') return unknown('ABORTED', `The caller of ${type} gave up.`, false)
  return unknown('NO_ANSWER', `${type} did not answer: ${reasonOf(error)}.`, true, error)
}

/** One whole answer: of a single call, or an element of a batch, whose body is parsed already. */
export function judgeAnswer(
  contract: CallContract,
  status: number,
  body: unknown,
): Judgement<Settled> | Promise<Judgement<Settled>> {
  const { type } = contract
  if (status === 200) return checkedBy(check(contract.output, body), (checked) => okOr(contract, checked))
  const problem = problemOf(body)
  if (status === 422 && problem?.failure !== undefined) {
    const { failure, data } = problem
    const schema = Object.hasOwn(contract.errors, failure) ? contract.errors[failure] : undefined
    if (schema === undefined)
      return settledError(
        'INVALID_ANSWER',
        `${type} answered the error ${shown(failure)}, which its contract does not declare.`,
        [],
      )
    return checkedBy(check(schema, data), (checked) =>
      checked.ok
        ? failedAs(type, failure, checked.value)
        : invalid(contract, `the data of the error ${failure}`, checked.problems),
    )
  }
  const said = problem?.detail === undefined ? `It answered ${status}.` : shown(problem.detail)
  if (status === 409 && problem?.code === 'KEY_REUSED')
    return settledError('KEY_REUSED', `${type} was not done. ${said}`, [])
  const own = ownRefusals[status]
  const code = refusals[status] ?? (own === problem?.code ? own : undefined)
  if (code !== undefined) return refusedAs(type, code, said, problem)
  if (status === 504 && problem?.code === 'DEADLINE')
    return unknown('DEADLINE', `${type} did not end before its deadline.`, true)
  return unknown(
    'NO_ANSWER',
    `${type} was answered with status ${status}, which says nothing of what was done. ${problem?.detail === undefined ? '' : said}`.trimEnd(),
    true,
  )
}

/** The body of an answer. Undefined where it is not what its content type says, or of another type: then nobody knows who answered. */
export function parseAnswer(seen: Seen & { kind: 'answer' }): { readonly body: unknown } | undefined {
  const type = seen.contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (type !== jsonType && type !== problemType) return seen.status === 200 ? undefined : { body: undefined }
  if (seen.body === '') return { body: undefined }
  try {
    return { body: JSON.parse(seen.body) as unknown }
  } catch {
    return seen.status === 200 ? undefined : { body: undefined }
  }
}

/** An answer whose status came and whose body is larger than allowed. */
export function tooLarge(contract: CallContract, status: number, maxBytes: number): Judgement<Settled> {
  const what = `The answer of ${contract.type} is larger than ${maxBytes} bytes.`
  if (status === 200) return settledError('INVALID_ANSWER', what, [], remedyOf(contract))
  return unknown('NO_ANSWER', what, false)
}

export function unreadable(type: string, contentType: string): Judgement<never> {
  return unknown(
    'NO_ANSWER',
    `${type} was answered with something that is no JSON (${shown(contentType || 'of no type')}).`,
    true,
  )
}

function okOr(contract: CallContract, checked: Checked<unknown>): Judgement<Settled> {
  if (checked.ok) return { kind: 'settled', settled: { status: 'ok', value: checked.value } }
  return invalid(contract, 'the answer', checked.problems)
}

function invalid(contract: CallContract, what: string, problems: readonly Issue[]): Judgement<Settled> {
  return settledError(
    'INVALID_ANSWER',
    `${contract.type}: ${what} does not satisfy its schema: ${listProblems(problems)}.`,
    problems,
    remedyOf(contract),
  )
}

function remedyOf({ kind }: CallContract): string {
  const done = kind === 'command' ? 'It was done all the same. ' : ''
  return `${done}Correct who answers, or the contract.`
}

function failedAs(type: string, reason: string, data: unknown): Judgement<Settled> {
  const error = new SpillwayError('CALL_FAILED', `${type} answered ${reason}.`, {
    details: { reason, data },
    remedy: '`reason` and `data` of the result say how.',
  })
  return { kind: 'settled', settled: { status: 'failed', reason, data, error } }
}

function refusedAs(
  type: string,
  code: ErrorCode,
  said: string,
  problem: Problem | undefined,
): Judgement<never> {
  const own = problem?.code !== undefined && Object.hasOwn(errorCodes, problem.code) ? problem.code : code
  const again = code === 'UNKNOWN_CALL' ? 'elsewhere' : code === 'OVERLOADED' || code === 'ANSWER_FAILED'
  return {
    kind: 'refused',
    error: new SpillwayError(own, `${type} was refused. ${said}`, detailsOf(problem)),
    again,
  }
}

function detailsOf(problem: Problem | undefined): { readonly details?: Readonly<Record<string, unknown>> } {
  if (problem?.issues) return { details: { issues: problem.issues } }
  const { retryAfterMs } = problem ?? {}
  return typeof retryAfterMs === 'number' ? { details: { retryAfterMs } } : {}
}

/** An answer by which a limit refused this call: that says nothing of how its instance, or its context, is. */
export function isLimited(seen: Seen): boolean {
  return seen.kind === 'answer' && seen.status === 429 && seen.body.includes('"code":"RATE_LIMITED"')
}

/** What no asking again changes. */
export function settledError(
  code: ErrorCode,
  what: string,
  issues: readonly Issue[],
  remedy?: string,
): Judgement<Settled> {
  const options = {
    ...(issues.length > 0 ? { details: { issues } } : {}),
    ...(remedy === undefined ? {} : { remedy }),
  }
  const error = new SpillwayError(code, what, options)
  return { kind: 'settled', settled: { status: 'failed', reason: 'error', data: undefined, error } }
}

function refused(code: ErrorCode, what: string, again: boolean, cause?: unknown): Judgement<never> {
  const remedy = `Nothing left.${again ? ' Ask again later.' : ''}`
  return {
    kind: 'refused',
    error: new SpillwayError(code, what, { remedy, ...(cause === undefined ? {} : { cause }) }),
    again,
  }
}

function unknown(code: ErrorCode, what: string, again: boolean, cause?: unknown): Judgement<never> {
  const remedy = errorCodes.NO_ANSWER.remedy
  return {
    kind: 'unknown',
    error: new SpillwayError(code, what, { remedy, ...(cause === undefined ? {} : { cause }) }),
    again,
  }
}

function problemOf(body: unknown): Problem | undefined {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Problem) : undefined
}

function checkedBy<Result>(
  checked: Checked<unknown> | Promise<Checked<unknown>>,
  then: (checked: Checked<unknown>) => Result,
): Result | Promise<Result> {
  return checked instanceof Promise ? checked.then(then) : then(checked)
}

function reasonOf(error: Error | undefined): string {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  // Where a name has several addresses, Node gathers what became of each.
  const [first] = error instanceof AggregateError ? error.errors : []
  const message = error?.message || (first instanceof Error ? first.message : '')
  return [message || 'the connection ended', code && !message.includes(code) ? `(${code})` : '']
    .filter(Boolean)
    .join(' ')
}

/** Others wrote it: short. */
function shown(text: unknown): string {
  return String(text).slice(0, 500)
}
