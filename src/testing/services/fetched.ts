// What a pointer event's handler would be given, from what a test says that the owner answers: checked as an answer of the owner is.
import type { CallContract } from '../../core/call-contract.ts'
import type { PointerContract } from '../../core/contract.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { AnsweredFor, Current, PointerData } from '../../core/pointer-contract.ts'
import { check, invalidData } from '../../core/schema.ts'
import { answerOf } from '../../pointer/answer.ts'
import type { Result } from '../../pointer/owner.ts'
import type { WhenOptions } from './arriving.ts'

/** For a pointer event: what its owner answers when it is asked for the payload. */
export interface WhenPointerOptions<Fetch extends CallContract, Gone extends string> extends WhenOptions {
  /** `value` and `data` as the owner gives them: they go through the schemas of its call. */
  readonly current: AnsweredFor<Fetch, Gone>
}

export type AnyAnswer =
  | { readonly state: 'found'; readonly value: unknown }
  | { readonly state: 'gone'; readonly data: unknown }

/** Rejects with INVALID_DATA for what the owner could not answer, and with CONFIGURATION for what no handler is ever given. */
export async function fetched(
  event: PointerContract,
  data: PointerData<string>,
  answered: AnyAnswer | undefined,
): Promise<Current<unknown, unknown>> {
  const { type, pointer } = event
  if (answered === undefined)
    throw new SpillwayError(
      'CONFIGURATION',
      `${type} is a pointer event, and nobody says what its owner answers.`,
      {
        remedy:
          "Nothing was handled. Give `when` a `current: { state: 'found', value: … }`, or `{ state: 'gone', data: … }`.",
      },
    )
  const answer = answerOf(pointer, await resultOf(event, answered))
  if (answer.kind === 'gone') return { state: 'gone', data: answer.data }
  if (answer.kind !== 'found') throw answer.error
  const { value, version } = answer
  if (version >= data.version) return { state: 'found', value, version }
  const what = `${type} is about version ${data.version}, and \`current\` has version ${version}: no handler is given an older one.`
  throw new SpillwayError('CONFIGURATION', what, {
    remedy: 'Nothing was handled. Give that version or a later one.',
  })
}

async function resultOf({ pointer: { call, gone } }: PointerContract, answered: AnyAnswer): Promise<Result> {
  if (answered.state === 'found') {
    const checked = await check(call.output, answered.value)
    if (!checked.ok) throw invalidData(`The answer of ${call.type}`, checked.problems)
    return { status: 'ok', value: checked.value }
  }
  const schema = Object.hasOwn(call.errors, gone) ? call.errors[gone] : undefined
  if (!schema)
    throw new SpillwayError(
      'CONFIGURATION',
      `${call.type} declares no error ${gone}: it never says that something is gone.`,
    )
  const checked = await check(schema, answered.data)
  if (!checked.ok) throw invalidData(`The data of the error ${gone} of ${call.type}`, checked.problems)
  const error = new SpillwayError('CALL_FAILED', `${call.type} answered ${gone}.`)
  return { status: 'failed', reason: gone, data: checked.value, error }
}
