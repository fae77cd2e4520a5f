// A message as it arrives at a service: sealed as its sender would seal it, or as one of another version did.
import type { Clock } from '../../core/clock.ts'
import type { EventContract, QueueContract } from '../../core/contract.ts'
import { type Sealed, seal } from '../../core/envelope.ts'
import { SpillwayError } from '../../core/errors.ts'
import { schemaUri } from '../../core/message.ts'
import { checkName } from '../../core/name.ts'
import { unchecked } from '../../core/schema.ts'
import type { CancelResult } from '../../ports/queue-control.ts'
import { outgoing } from '../../queue/outgoing.ts'
import { scheduledMessage, sealForSchedule } from '../../queue/schedule-message.ts'

export interface WhenOptions {
  /** The same id again is the same message: the inbox knows it. Default: a new id. */
  readonly id?: string
  /** Which attempt it is. Default 1. */
  readonly attempt?: number
  /** What the handler is told of every message that it cancels. Default 'removed'. */
  readonly cancels?: CancelResult
  /** The data is of this version of the contract, as an older (or newer) sender wrote it. Nothing is validated before it is read. */
  readonly version?: number
  /**
   * A schedule of this name sent it for this due time, as `schedule` and `scheduledfor` of the message say. Its id follows from both, so the
   * inbox knows the second one for the same due time. Only for a message of a queue, without `id` and `version`.
   */
  readonly schedule?: { readonly name: string; readonly due: Date }
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
  if (options.schedule !== undefined) return scheduled(contract, data, options, clock)
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

async function scheduled(
  contract: EventContract | QueueContract,
  data: unknown,
  { schedule, id, version }: WhenOptions,
  clock: Clock,
): Promise<Sealed> {
  const { name, due } = schedule!
  if (contract.kind !== 'queue' || (id ?? version) !== undefined)
    throw new SpillwayError(
      'INVALID_OPTION',
      'schedule is for a message of a queue, and tells its id and its version.',
    )
  const dueMs = due.getTime()
  if (Number.isNaN(dueMs)) throw new SpillwayError('INVALID_OPTION', '`due` is an invalid Date.')
  const origin = { source: `/${contract.context ?? ''}` }
  const sealed = await sealForSchedule(contract, checkName(name, 'schedule'), data, {}, origin)
  const message = scheduledMessage(sealed, { queue: contract.queue, name, due: dueMs, now: clock.now() })
  return { id: message.id, key: message.key, body: message.body }
}
