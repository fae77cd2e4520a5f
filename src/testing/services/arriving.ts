// A message as it arrives at a service: sealed as its sender would seal it, or as one of another version did.
import type { Clock } from '../../core/clock.ts'
import type { EventContract, QueueContract } from '../../core/contract.ts'
import { type Sealed, seal } from '../../core/envelope.ts'
import { SpillwayError } from '../../core/errors.ts'
import { schemaUri } from '../../core/message.ts'
import { unchecked } from '../../core/schema.ts'
import type { CancelResult } from '../../ports/queue-control.ts'
import { outgoing } from '../../queue/outgoing.ts'

export interface WhenOptions {
  /** The same id again is the same message: the inbox knows it. Default: a new id. */
  readonly id?: string
  /** Which attempt it is. Default 1. */
  readonly attempt?: number
  /** What the handler is told of every message that it cancels. Default 'removed'. */
  readonly cancels?: CancelResult
  /** The data is of this version of the contract, as an older (or newer) sender wrote it. Nothing is validated before it is read. */
  readonly version?: number
  /** In place of the key that the contract tells from the data; for data of another version there is no other. */
  readonly key?: string
}

export async function arriving(
  contract: EventContract | QueueContract,
  data: unknown,
  options: WhenOptions,
  clock: Clock,
): Promise<Sealed> {
  const { id, version, key, attempt = 1 } = options
  if (!Number.isInteger(attempt) || attempt < 1)
    throw new SpillwayError('INVALID_OPTION', `attempt is ${attempt}; it takes a whole number from 1.`)
  const owner = contract.kind === 'event' ? contract.stream : (contract.context ?? '')
  const origin = {
    source: `/${owner}`,
    ...(id === undefined ? {} : { id }),
    ...(key === undefined ? {} : { key }),
  }
  if (version !== undefined) {
    const { type } = contract
    const dataschema = schemaUri(type, version)
    return seal({ type, schema: unchecked(), version, upcast: {}, dataschema }, data, origin, clock)
  }
  if (contract.kind === 'event') return seal(contract, data, origin, clock)
  const { source } = origin
  return outgoing(contract, data, id === undefined ? {} : { id }, { source }, clock)
}
