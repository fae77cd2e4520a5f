// Dead letters of a stream: events that a group could not handle, kept with their reason in a stream of the group's own.
import type { Clock } from '../core/clock.ts'
import { newId } from '../core/id.ts'
import { encode, type Message, schemaUri } from '../core/message.ts'
import type { StreamRecord } from '../ports/stream.ts'

const type = 'spillway.dead-event'

export interface DeadEvent {
  readonly stream: string
  readonly group: string
  readonly partition: number
  readonly position: number
  readonly key: string | undefined
  readonly reason: string
  readonly attempts: number
  /** The event as it was stored. */
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
): { readonly id: string; readonly body: string } {
  const { partition, position, key, body } = record
  const id = newId(clock)
  const message: Message<DeadEvent> = {
    specversion: '1.0',
    id,
    source: `/${of.group}`,
    type,
    time: new Date(clock.now()).toISOString(),
    datacontenttype: 'application/json',
    dataschema: schemaUri(type, 1),
    correlationid: id,
    data: { stream: of.stream, group: of.group, partition, position, key, reason, attempts, body },
  }
  return { id, body: encode(message) }
}
