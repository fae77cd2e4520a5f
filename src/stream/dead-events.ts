// Dead letters of a stream: events that a group could not handle, kept with their reason in a stream of the group's own.
import type { Clock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import { decode, type Message, schemaUri } from '../core/message.ts'
import type { StreamRecord } from '../ports/stream.ts'

const type = 'spillway.dead-event'
const maxReasonLength = 2_000
const keptOfLarge = 10_000
/** Room for what a relay adds. */
const envelopeBytes = 1_000

export interface DeadEvent {
  readonly stream: string
  readonly group: string
  readonly partition: number
  readonly position: number
  readonly key: string | undefined
  readonly reason: string
  readonly attempts: number
  /** The event as it was stored; only its beginning where the whole is too large to be kept twice. */
  readonly body: string
}

/** The name of the stream that holds the dead letters of a group. */
export function deadStream(of: { readonly stream: string; readonly group: string }): string {
  return `${of.stream}.dead.${of.group}`
}

export function deadEvent(
  of: { readonly stream: string; readonly group: string },
  record: StreamRecord,
  reason: string,
  attempts: number,
  clock: Clock,
  maxBodyBytes: number,
): { readonly id: string; readonly body: string } {
  const { partition, position, key } = record
  const id = newId(clock)
  const sealed = (body: string): string => JSON.stringify(message(body))
  const message = (body: string): Message<DeadEvent> => ({
    specversion: '1.0',
    id,
    source: `/${of.group}`,
    type,
    time: new Date(clock.now()).toISOString(),
    datacontenttype: 'application/json',
    dataschema: schemaUri(type, 1),
    correlationid: id,
    data: {
      stream: of.stream,
      group: of.group,
      partition,
      position,
      key,
      reason: reason.slice(0, maxReasonLength),
      attempts,
      body,
    },
  })
  const whole = sealed(record.body)
  // A record inside a record is escaped: what fitted before may not fit now. Its place says where the rest stands.
  if (Buffer.byteLength(whole) + envelopeBytes <= maxBodyBytes) return { id, body: whole }
  return { id, body: sealed(record.body.slice(0, keptOfLarge)) }
}

/** Reads what `deadEvent` wrote, with the id of the letter. INVALID_MESSAGE for anything else, which others may have put there. */
export function openDeadEvent(
  body: string,
): { readonly id: string; readonly event: DeadEvent } | SpillwayError {
  const message = decode(body)
  if (message instanceof SpillwayError) return message
  if (message.type === type && isDeadEvent(message.data)) return { id: message.id, event: message.data }
  const what = message.type === type ? 'does not tell of one' : `has the type ${message.type}`
  return new SpillwayError('INVALID_MESSAGE', `Message ${message.id} is no dead event: it ${what}.`)
}

function isDeadEvent(data: unknown): data is DeadEvent {
  const { stream, group, partition, position, key, reason, attempts, body } = Object(
    data,
  ) as Partial<DeadEvent>
  const texts = [stream, group, reason, body, key ?? '']
  const numbers = [partition, position, attempts]
  return (
    texts.every((each) => typeof each === 'string') && numbers.every((each) => Number.isSafeInteger(each))
  )
}
