// The message: a CloudEvents 1.0 envelope around typed data, and its one encoding, a line of JSON.
import { asError, SpillwayError } from './errors.ts'

/**
 * CloudEvents 1.0 (attributes as the specification names them) with these extensions: `partitionkey`
 * (partitioning), `traceparent` and `tracestate` (distributed tracing), `correlationid` and `causationid`
 * (correlation), and `producerid` with `sequence`, set by a relay: together they identify the message among
 * all that its outbox ever moved, and rise in the order in which it moves them; and `redriventime`. A message of a queue also says here
 * how it is to be kept (`expirytime`, `notbefore`, `priority`, `group`, `dedupkey`, `dedupuntil`, `after`, `iffailed`), and one of a schedule
 * which one it was, and for when (`schedule`, `scheduledfor`). An event says here that its key has nothing more (`tombstone`).
 */
export interface Message<Data = unknown> {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject?: string
  /** RFC 3339, UTC. */
  readonly time: string
  readonly datacontenttype: 'application/json'
  /** `urn:spillway:<type>:<version>`. */
  readonly dataschema: string
  readonly partitionkey?: string
  readonly traceparent?: string
  readonly tracestate?: string
  /** The id of the first message of the chain that this one belongs to. */
  readonly correlationid?: string
  /** The id of the message whose handler sent this one. */
  readonly causationid?: string
  readonly producerid?: string
  readonly sequence?: string
  /** RFC 3339, UTC: when a person had it sent that had been set aside in its outbox. */
  readonly redriventime?: string
  /** RFC 3339, UTC: not handled any more from then on. */
  readonly expirytime?: string
  /** RFC 3339, UTC: not handled before. */
  readonly notbefore?: string
  readonly priority?: number
  readonly group?: string
  readonly dedupkey?: string
  /** RFC 3339, UTC: until when no other message with the `dedupkey` is stored, whatever becomes of this one. */
  readonly dedupuntil?: string
  /** The ids of the messages that it waits for: an array as JSON. */
  readonly after?: string
  /** `run`: it waits for the end of these messages only, whatever that is. */
  readonly iffailed?: 'run'
  /** The name of the schedule that sent it. */
  readonly schedule?: string
  /** RFC 3339, UTC: the due time for which the schedule sent it. */
  readonly scheduledfor?: string
  /** There is nothing more of its key. */
  readonly tombstone?: true
  readonly data: Data
}

export const maxIdLength = 200

/** The version in a `dataschema`, or undefined when it is not one that Spillway wrote. */
export function versionOf(dataschema: unknown): number | undefined {
  if (typeof dataschema !== 'string') return undefined
  const digits = /^urn:spillway:[^:]+:(\d{1,9})$/.exec(dataschema)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export function schemaUri(type: string, version: number): string {
  return `urn:spillway:${type}:${version}`
}

/** Reads an envelope and checks its required attributes, not its data. Returns the error instead of throwing it. */
export function decode(body: string): Message | SpillwayError {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (thrown) {
    return invalid(`it is no JSON (${asError(thrown).message})`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return invalid('it is no JSON object')
  const message = value as Partial<Record<keyof Message, unknown>>
  if (message.specversion !== '1.0')
    return invalid(`its specversion is ${JSON.stringify(message.specversion)}`)
  for (const attribute of ['id', 'source', 'type'] as const) {
    const text = message[attribute]
    if (typeof text !== 'string' || text === '') return invalid(`its ${attribute} is missing`)
  }
  if (!('data' in message)) return invalid('it carries no data')
  return value as Message
}

function invalid(why: string): SpillwayError {
  return new SpillwayError('INVALID_MESSAGE', `A stored message cannot be read: ${why}.`)
}
