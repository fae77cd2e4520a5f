// Who appends so that it may be repeated: what was stored by an earlier try is recognised, and not stored again.
import { SpillwayError } from '../core/errors.ts'

/** The numbers of a producer rise from call to call, with gaps as it likes. They are told apart by stream. */
export interface Producer {
  readonly id: string
  readonly sequence: number
}

/** For so long after its last append an engine knows a producer, at least. */
export const producerKeptMs: number = 7 * 24 * 3_600_000

/** Throws INVALID_OPTION for what is no producer. */
export function checkProducer(engine: string, producer: Producer | undefined): void {
  if (producer === undefined) return
  const { id, sequence } = producer
  if (typeof id !== 'string' || id === '' || id.length > 200 || id.includes('\0'))
    throw invalid(engine, 'The id of a producer is a text of 1 to 200 characters.')
  if (!Number.isSafeInteger(sequence) || sequence < 0)
    throw invalid(engine, `The sequence of a producer is ${sequence}; it takes a whole number from 0.`)
}

function invalid(engine: string, what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine })
}
