// The input of a call on its way out: checked against the contract, written as JSON, refused before it leaves.
import { bytesAbove } from '../../core/byte-length.ts'
import type { CallContract } from '../../core/call-contract.ts'
import { asError, SpillwayError } from '../../core/errors.ts'
import { type Checked, check, invalidData } from '../../core/schema.ts'
import { maxInputBytes } from '../wire.ts'

/** The body, empty for undefined; or why it cannot leave. What is sent is what was given: its owner's schema turns it into what the owner receives. */
export function encodeInput(
  contract: CallContract,
  input: unknown,
): string | SpillwayError | Promise<string | SpillwayError> {
  const checked = check(contract.input, input)
  return checked instanceof Promise
    ? checked.then((result) => encode(contract, input, result))
    : encode(contract, input, checked)
}

function encode({ type }: CallContract, input: unknown, checked: Checked<unknown>): string | SpillwayError {
  if (!checked.ok) return invalidData(`The input of ${type}`, checked.problems)
  let body: string
  try {
    body = JSON.stringify(input) ?? ''
  } catch (thrown) {
    return new SpillwayError(
      'INVALID_DATA',
      `The input of ${type} cannot be written as JSON: ${asError(thrown).message}.`,
      {
        cause: thrown,
        remedy: 'Nothing left. Give it what JSON can carry.',
      },
    )
  }
  const bytes = bytesAbove(body, maxInputBytes)
  if (bytes === undefined) return body
  return new SpillwayError(
    'TOO_LARGE',
    `The input of ${type} has ${bytes} bytes; ${maxInputBytes} are allowed.`,
    {
      remedy: 'Nothing left. Store the bulk elsewhere and send a reference to it.',
    },
  )
}
