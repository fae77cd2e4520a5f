// What stands in the database of an instance: its state in an envelope with the version of its schema, its timeouts, and how to undo what was done.
import type { Clock } from '../core/clock.ts'
import type { Contract } from '../core/contract.ts'
import { seal, unseal } from '../core/envelope.ts'
import { asError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'

/** A message that undoes something, sealed when that was done. */
export interface Compensation {
  readonly name: string
  readonly queue: string
  readonly id: string
  readonly key?: string | undefined
  readonly body: string
}

export interface Stored<State = unknown> {
  readonly state: State
  /** The token of each timeout that is set. */
  readonly timeouts: Readonly<Record<string, string>>
  readonly compensations: readonly Compensation[]
}

/** Rejects with INVALID_DATA for a state that does not satisfy its schema. */
export async function encodeStored(
  contract: Contract,
  id: string,
  stored: Stored,
  clock: Clock,
): Promise<string> {
  const { body } = await seal(contract, stored.state, { id }, clock)
  return JSON.stringify({ ...stored, state: body })
}

/** Upcast and validated. Rejects with what is wrong with it. */
export async function decodeStored(contract: Contract, text: string): Promise<Stored> {
  const { state, timeouts, compensations } = parseStored(contract, text)
  const opened = await unseal(contract, state)
  if (opened instanceof SpillwayError) throw opened
  return { state: opened.data, timeouts, compensations }
}

/** The state as it is sealed. Throws INVALID_MESSAGE. */
export function parseStored(contract: Contract, text: string): Stored<string> {
  try {
    const { state, timeouts, compensations } = JSON.parse(text) as Stored<string>
    return { state, timeouts, compensations }
  } catch (thrown) {
    const what = `A stored state of the saga ${contract.type} is no JSON: ${asError(thrown).message}.`
    throw new SpillwayError('INVALID_MESSAGE', what, { cause: thrown })
  }
}

/** The same message as of now: it was sealed when there was nothing to undo yet, and what it says of times is counted from then. */
export function redated(body: string, now: number): string {
  const { data, time, ...attributes } = JSON.parse(body) as Message
  const later = (text: string) => new Date(Date.parse(text) + now - Date.parse(time)).toISOString()
  const { expirytime, dedupuntil } = attributes
  return JSON.stringify({
    ...attributes,
    time: later(time),
    ...(expirytime === undefined ? {} : { expirytime: later(expirytime) }),
    ...(dedupuntil === undefined ? {} : { dedupuntil: later(dedupuntil) }),
    data,
  })
}
