// What a handler threw, out of the report about it; the report itself where it is about something else.
import { asError, isSpillwayError, type SpillwayError } from '../../core/errors.ts'

export function causeOf(error: SpillwayError | undefined): Error | undefined {
  return isSpillwayError(error, 'HANDLER_FAILED') && 'cause' in error ? asError(error.cause) : error
}
