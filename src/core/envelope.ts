// From data to a message on the way out, and back on the way in: validation and upcasting happen here and only here.
import { type Clock, systemClock } from './clock.ts'
import type { Contract, EventContract } from './contract.ts'
import { asError, describe, isSpillwayError, SpillwayError } from './errors.ts'
import { newId } from './id.ts'
import { decode, type Message, maxIdLength, versionOf } from './message.ts'
import { type Checked, check, invalidData, listProblems } from './schema.ts'

/** What the sender may say about a message besides its data. */
export interface Attributes {
  /** Must identify the message for ever; sending the same id again is how a sender retries. Default: a new id. */
  readonly id?: string
  readonly source?: string
  /** In place of what an event's contract says. */
  readonly key?: string
  readonly correlationId?: string
  readonly causationId?: string
  readonly traceparent?: string
  readonly tracestate?: string
  /** Times are milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  readonly notBefore?: number | undefined
  readonly priority?: number | undefined
  readonly group?: string | undefined
  readonly dedupKey?: string | undefined
  readonly dedupUntil?: number | undefined
  readonly after?: readonly string[] | undefined
  readonly ifFailed?: 'run' | undefined
}

/** What depends on the data is asked for once the data is known to be good. */
type AttributesOf = Attributes | ((now: number) => Attributes)

/** Checked data in its envelope, encoded once. What the ports store. */
export interface Sealed {
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  /** It says of its key that there is nothing more. The body says so too. */
  readonly tombstone: boolean
}

/** Validates `data` as the contract's input and seals what was given. Throws INVALID_DATA with the path of every problem. */
export function seal<In>(
  contract: Contract<In, unknown>,
  data: In,
  attributes: AttributesOf,
  clock: Clock = systemClock,
): Sealed | Promise<Sealed> {
  const result = check(contract.schema as Contract['schema'], data)
  if (result instanceof Promise)
    return result.then((checked) => close(contract, data, checked, attributes, clock))
  return close(contract, data, result, attributes, clock)
}

function close<In>(
  contract: Contract<In, unknown>,
  data: In,
  checked: Checked<unknown>,
  given: AttributesOf,
  clock: Clock,
): Sealed | Promise<Sealed> {
  if (!checked.ok) throw invalidData(`The data for ${contract.type}`, checked.problems)
  const now = clock.now()
  const attributes = typeof given === 'function' ? told(contract, () => given(now)) : given
  if (attributes.id !== undefined && !isName(attributes.id))
    throw new SpillwayError(
      'INVALID_OPTION',
      `A message id must be a well-formed text of 1 to ${maxIdLength} characters without NUL.`,
    )
  const id = attributes.id ?? newId(clock)
  const key = attributes.key ?? eventKeyOf(contract, data)
  const { group, dedupKey } = attributes
  checkText(contract, 'key', key)
  checkText(contract, 'group', group)
  checkText(contract, 'dedup key', dedupKey)
  const tombstone = isEnd(contract, data)
  if (tombstone && key === undefined)
    throw new SpillwayError('INVALID_DATA', `A tombstone of ${contract.type} has no key that it could end.`)
  const text = dataText(contract, data)
  const same = sameOf(contract)
  const sealed = { id, key, body: envelope(same, id, key, attributes, now, text, tombstone), tombstone }
  if (same.survivesJson) return sealed
  const read = check(contract.schema as Contract['schema'], JSON.parse(text))
  if (read instanceof Promise) return read.then((checked) => accepted(contract, checked, sealed))
  return accepted(contract, read, sealed)
}

/** What is the same for every message of a contract: it is checked and written once. */
interface Same {
  survivesJson: boolean
  source: string
  /** `source` and `type` as text, for that source. */
  origin: string
  readonly type: string
  readonly schema: string
}

const sameByContract = new WeakMap<object, Same>()

function sameOf(contract: Pick<Contract, 'type' | 'dataschema'>): Same {
  const known = sameByContract.get(contract)
  if (known !== undefined) return known
  const same: Same = {
    survivesJson: false,
    source: '',
    origin: '',
    type: `,"type":${JSON.stringify(contract.type)}`,
    schema: `,"datacontenttype":"application/json","dataschema":${JSON.stringify(contract.dataschema)}`,
  }
  sameByContract.set(contract, same)
  return same
}

function originText(same: Same, source: string): string {
  if (same.source !== source) {
    same.source = source
    same.origin = `,"source":${JSON.stringify(source)}${same.type}`
  }
  return same.origin
}

/**
 * Looked at with the first message of a contract only: a schema that asks for what JSON cannot carry, like a Date, would
 * accept every message here and refuse it where it is read.
 */
function accepted<In>(contract: Contract<In, unknown>, read: Checked<unknown>, sealed: Sealed): Sealed {
  if (!read.ok) throw invalidData(`The data for ${contract.type}, as JSON carries it,`, read.problems)
  sameOf(contract).survivesJson = true
  return sealed
}

/** What functions of the contract say of the data: asked for only once it is known to be sound. */
function told<In, Result>(contract: Contract<In, unknown>, ask: () => Result): Result {
  try {
    return ask()
  } catch (thrown) {
    if (isSpillwayError(thrown)) throw thrown
    const what = `A key or another attribute of ${contract.type} cannot be told: its function threw: ${asError(thrown).message}.`
    throw new SpillwayError('INVALID_DATA', what, { cause: thrown })
  }
}

function eventKeyOf<In>(contract: Contract<In, unknown>, data: In): string | undefined {
  return told(contract, () => (contract as Partial<EventContract<In>>).keyOf?.(data))
}

function isEnd<In>(contract: Contract<In, unknown>, data: In): boolean {
  return told(contract, () => (contract as Partial<EventContract<In>>).isTombstone?.(data)) === true
}

function checkText(contract: Contract, what: string, text: unknown): void {
  if (text !== undefined && !isName(text))
    throw new SpillwayError(
      'INVALID_DATA',
      `The ${what} of ${contract.type} is ${describe(text).slice(0, 80)}; it is a well-formed text of 1 to ${maxIdLength} characters without NUL.`,
    )
}

/**
 * The envelope as text. Written piece by piece, because most of it is the same for every message of a contract:
 * only the data and what is this message's own are turned into JSON.
 */
function envelope(
  same: Same,
  id: string,
  key: string | undefined,
  attributes: Attributes,
  now: number,
  data: string,
  tombstone: boolean,
): string {
  const { source = '/', correlationId = id, causationId, traceparent, tracestate } = attributes
  // An id that was made here needs no escaping.
  const quotedId = attributes.id === undefined ? `"${id}"` : JSON.stringify(id)
  let text = `{"specversion":"1.0","id":${quotedId}${originText(same, source)}`
  if (key !== undefined) {
    const quoted = JSON.stringify(key)
    text += `,"subject":${quoted},"partitionkey":${quoted}`
  }
  text += timeText(now)
  text += same.schema
  if (traceparent !== undefined) text += `,"traceparent":${JSON.stringify(traceparent)}`
  if (tracestate !== undefined) text += `,"tracestate":${JSON.stringify(tracestate)}`
  text += `,"correlationid":${correlationId === id ? quotedId : JSON.stringify(correlationId)}`
  if (causationId !== undefined) text += `,"causationid":${JSON.stringify(causationId)}`
  text += keeping(attributes)
  if (tombstone) text += tombstoneText
  return `${text}${beforeData}${data}}`
}

/** What stands before the data of an envelope. */
export const beforeData = ',"data":'

/** As it stands before the data of an envelope, and nowhere else before it: texts have their quotes escaped. */
export const tombstoneText = ',"tombstone":true'

/** What stands before the id of a producer, between it and a sequence, and at the end: see `numbered`. */
export const numbering = [',"producerid":"', '","sequence":"', '"}'] as const

/**
 * An envelope that was written here, with the attributes by which a receiver recognises a message that is sent twice; and since when it may be
 * handled again, for one that a person put back (epoch ms).
 */
export function numbered(body: string, producerId: string, sequence: number, retriedAt?: number): string {
  const [producer, number, end] = numbering
  const redriven = retriedAt === undefined ? '' : `","redriventime":"${new Date(retriedAt).toISOString()}`
  return `${body.slice(0, -1)}${producer}${producerId}${number}${sequence}${redriven}${end}`
}

/** Whether an envelope that was written here says of its key that there is nothing more. */
export function isTombstone(body: string): boolean {
  return body.includes(tombstoneText) && attributesOf(body).tombstone === true
}

/** How the message is to be kept: mostly nothing. */
function keeping(attributes: Attributes): string {
  const { expiresAt, notBefore, priority, group, dedupKey, dedupUntil, after, ifFailed } = attributes
  let text = ''
  if (expiresAt !== undefined) text += `,"expirytime":"${new Date(expiresAt).toISOString()}"`
  if (notBefore !== undefined) text += `,"notbefore":"${new Date(notBefore).toISOString()}"`
  if (priority !== undefined) text += `,"priority":${priority}`
  if (group !== undefined) text += `,"group":${JSON.stringify(group)}`
  if (dedupKey !== undefined) text += `,"dedupkey":${JSON.stringify(dedupKey)}`
  if (dedupUntil !== undefined) text += `,"dedupuntil":"${new Date(dedupUntil).toISOString()}"`
  // An attribute of CloudEvents is a text, not a list.
  if (after !== undefined) text += `,"after":${JSON.stringify(JSON.stringify(after))}`
  if (ifFailed !== undefined) text += `,"iffailed":"${ifFailed}"`
  return text
}

/**
 * The attributes of an envelope that was written here, without its data: how a relay sees what it moves. The first
 * `,"data":` ends them, because inside a text every quote is escaped.
 */
export function attributesOf(body: string): Partial<Message> {
  const end = body.indexOf(beforeData)
  return end < 0 ? {} : (JSON.parse(`${body.slice(0, end)}}`) as Partial<Message>)
}

let formatted = 0
let formattedText = ''

/** RFC 3339; formatting costs more than the rest of an envelope, and many messages share a millisecond. */
function timeText(now: number): string {
  if (now !== formatted) {
    formattedText = `,"time":"${new Date(now).toISOString()}"`
    formatted = now
  }
  return formattedText
}

/** The data as one line of JSON. Throws INVALID_DATA for what JSON cannot carry. */
function dataText(contract: Contract, data: unknown): string {
  let why = `${typeof data} is no JSON value`
  try {
    const json = JSON.stringify(data) as string | undefined
    if (json !== undefined) return json
  } catch (thrown) {
    why = asError(thrown).message
  }
  throw new SpillwayError('INVALID_DATA', `The data of ${contract.type} cannot be written as JSON: ${why}.`, {
    details: { issues: [{ path: '', message: why }] },
  })
}

/** What every engine can store and compare as a key or an id. */
export function isName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= maxIdLength &&
    value.isWellFormed() &&
    !value.includes('\0')
  )
}

export type Opened<Out> = Message<Out> | SpillwayError

/** Reads a stored message: envelope, version, upcasting, validation. What is wrong with it comes back as the error. */
export function unseal<Out>(
  contract: Contract<unknown, Out>,
  body: string,
): Opened<Out> | Promise<Opened<Out>> {
  const message = decode(body)
  if (message instanceof SpillwayError) return message
  if (message.type !== contract.type)
    return new SpillwayError(
      'INVALID_MESSAGE',
      `Message ${message.id} has the type ${message.type}, where only ${contract.type} belongs.`,
    )
  return openMessage(contract, message)
}

/** The same for an envelope that was already decoded, to see which contract it belongs to. */
export function openMessage<Out>(
  contract: Contract<unknown, Out>,
  message: Message,
): Opened<Out> | Promise<Opened<Out>> {
  const data = upcast(contract, message)
  if (data instanceof SpillwayError) return data
  const result = check(contract.schema as Contract['schema'], data.value)
  if (result instanceof Promise) return result.then((checked) => accept(contract, message, checked))
  return accept(contract, message, result)
}

function upcast(contract: Contract<unknown, unknown>, message: Message): { value: unknown } | SpillwayError {
  if (message.dataschema === contract.dataschema) return { value: message.data }
  const version = versionOf(message.dataschema)
  if (version === contract.version) return { value: message.data }
  if (version === undefined || version > contract.version || version < 1)
    return new SpillwayError(
      'UNKNOWN_VERSION',
      `Message ${message.id} has the schema ${JSON.stringify(message.dataschema)}; this program knows ${contract.type} up to version ${contract.version}.`,
    )
  let value: unknown = message.data
  for (let from = version; from < contract.version; from++) {
    const step = contract.upcast[from] as ((data: unknown) => unknown) | undefined
    if (!step)
      return new SpillwayError(
        'UNKNOWN_VERSION',
        `Message ${message.id} has version ${version} of ${contract.type}, and there is no upcaster from version ${from}.`,
      )
    try {
      value = step(value)
    } catch (thrown) {
      const error = asError(thrown)
      const what = `The upcaster of ${contract.type} from version ${from} threw for message ${message.id}: ${error.message}.`
      return new SpillwayError('UPCAST_FAILED', what, { cause: thrown })
    }
  }
  return { value }
}

function accept<Out>(
  contract: Contract<unknown, Out>,
  message: Message,
  checked: Checked<unknown>,
): Opened<Out> {
  // It was made from the text a moment ago, and is nobody else's yet.
  if (checked.ok) return Object.assign(message, { data: checked.value as Out })
  const upcasted =
    message.dataschema !== contract.dataschema && versionOf(message.dataschema) !== contract.version
  return new SpillwayError(
    upcasted ? 'UPCAST_FAILED' : 'INVALID_MESSAGE',
    `Message ${message.id} of type ${contract.type} does not satisfy its schema${upcasted ? ' after upcasting' : ''}: ${listProblems(checked.problems)}.`,
    { details: { issues: checked.problems } },
  )
}
