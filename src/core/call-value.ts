// For people who want exceptions: the value of a call, or an error that a handler's retry does the rest about.
import type { FailureSchemas } from './call-contract.ts'
import type { CallResult } from './call-result.ts'
import { SpillwayError } from './errors.ts'

/**
 * What was answered. Throws CALL_FAILED where nothing was done, with `details.reason` and `details.data`, and CALL_UNKNOWN where nobody knows. Thrown
 * out of a handler, its message is tried again, and the handler asks again with the same key.
 */
export function value<Answered, Failures extends FailureSchemas>(
  result: CallResult<Answered, Failures>,
): Answered {
  if (result.status === 'ok') return result.value
  const { error } = result
  if (result.status === 'unknown')
    throw new SpillwayError('CALL_UNKNOWN', error.message, { cause: error, details: { key: result.key } })
  const { reason, data } = result
  throw new SpillwayError('CALL_FAILED', error.message, {
    cause: error,
    retryable: error.retryable,
    details: { reason, data },
  })
}
