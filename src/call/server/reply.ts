// What goes back to a caller: a status and a body that is encoded already.
import { bytesAbove } from '../../core/byte-length.ts'
import type { CallContract } from '../../core/call-contract.ts'
import { asError, type ErrorCode, SpillwayError } from '../../core/errors.ts'
import { type Checked, check, invalidData, type Schema } from '../../core/schema.ts'
import type { Decision } from '../../limit/decision.ts'
import { retryAfter } from '../../limit/http/fields.ts'
import { failureProblem, maxAnswerBytes, problemOf } from '../wire.ts'
import { Refusal } from './answer.ts'

export interface Reply {
  readonly status: number
  /** JSON; empty for an answer of undefined. */
  readonly body: string
  /** It was stored before. */
  readonly replayed?: boolean
  /** Whole seconds. */
  readonly retryAfter?: number
  /** The methods that would do. */
  readonly allow?: string
}

export function problemReply(status: number, code: ErrorCode, detail: string): Reply {
  return { status, body: JSON.stringify(problemOf(status, code, detail)) }
}

export function overloaded(detail: string, retryAfter = 1): Reply {
  return { ...problemReply(503, 'OVERLOADED', detail), retryAfter }
}

/** For a call that limits do not let in. */
export function limited(type: string, { rule, outcome, retryAfterMs }: Decision): Reply {
  const deferred = outcome === 'defer' ? ' Calls are not deferred: whoever asks waits for the answer.' : ''
  const detail = `${type} was not begun: it is more than the limit ${rule} allows.${deferred}`
  const known = Number.isFinite(retryAfterMs)
  const more = known ? { retryAfterMs: Math.ceil(retryAfterMs) } : {}
  const body = JSON.stringify(problemOf(429, 'RATE_LIMITED', detail, more))
  return { status: 429, body, ...(known ? { retryAfter: retryAfter(retryAfterMs) } : {}) }
}

/** For an input that its schema refused. */
export function refusedInput(type: string, { problems }: Extract<Checked<unknown>, { ok: false }>): Reply {
  const { message } = invalidData(`The input of ${type}`, problems)
  return { status: 400, body: JSON.stringify(problemOf(400, 'INVALID_DATA', message, { issues: problems })) }
}

/** Checks what a handler returned by the contract and encodes it as it was given: the caller reads it by the same schema. */
export function encode(contract: CallContract, returned: unknown): Reply | Promise<Reply> {
  const refusal = Refusal.is(returned) ? returned : undefined
  const schema: Schema | undefined = refusal ? contract.errors[refusal.failure] : contract.output
  if (schema === undefined)
    throw new SpillwayError('INVALID_DATA', `${contract.type} declares no error ${refusal?.failure}.`)
  const value = refusal ? refusal.data : returned
  const what = refusal ? `What ${contract.type} says of ${refusal.failure}` : `The answer of ${contract.type}`
  const accept = (checked: Checked<unknown>): Reply => {
    if (!checked.ok) throw invalidData(what, checked.problems)
    const body = refusal ? failureProblem(contract.type, refusal.failure, value) : value
    return { status: refusal ? 422 : 200, body: encoded(what, body) }
  }
  const checked = check(schema, value)
  return checked instanceof Promise ? checked.then(accept) : accept(checked)
}

function encoded(what: string, value: unknown): string {
  let body: string
  try {
    body = JSON.stringify(value) ?? ''
  } catch (thrown) {
    throw new SpillwayError('INVALID_DATA', `${what} is no JSON: ${asError(thrown).message}.`, {
      cause: thrown,
    })
  }
  const bytes = bytesAbove(body, maxAnswerBytes)
  if (bytes !== undefined)
    throw new SpillwayError(
      'TOO_LARGE',
      `${what} takes ${bytes} bytes; an answer has at most ${maxAnswerBytes}.`,
      { remedy: 'Nothing was stored. Answer in pages, or with a reference to where the bulk is.' },
    )
  return body
}
