// What a message of a queue is on the server: its fields and its body in one text, separated by NUL, which no field contains.
//
//     <id> NUL <key, or nothing> NUL <token: of its last claim before it was redriven, a space, and when that was; or nothing> NUL <body>
//
// A dead letter has further fields before the body: starts, how many letters the reason has, and the reason.
import { Buffer } from 'node:buffer'

export interface QueueMessage {
  readonly id: string
  readonly key: string | undefined
  /** Of the last claim in an earlier life. */
  readonly token: number
  /** Milliseconds since the epoch. */
  readonly redrivenAt?: number
  readonly body: string
}

export interface DeadLetter extends QueueMessage {
  readonly starts: number
  readonly reason: string
}

/** Longer reasons are cut, so that every message that was taken can die. */
const maxReasonBytes = 6_000
const nul = '\0'

export function writeMessage({ id, key, token, redrivenAt, body }: QueueMessage): string {
  const life = redrivenAt === undefined ? token || '' : `${token} ${redrivenAt}`
  return `${id}${nul}${key ?? ''}${nul}${life}${nul}${body}`
}

export function writeDeadLetter(letter: DeadLetter): string {
  const { id, key, token, starts, body } = letter
  const reason = cut(letter.reason)
  return `${id}${nul}${key ?? ''}${nul}${token}${nul}${starts}${nul}${reason.length}${nul}${reason}${body}`
}

/** What somebody else put there comes as it is: whoever claims it finds that it is no message. */
export function readMessage(data: Uint8Array, sequence: number): QueueMessage {
  const [fields, rest] = split(textOf(data), 3)
  if (fields === undefined) return { id: `nats-${sequence}`, key: undefined, token: 0, body: rest }
  const [id = '', key = '', life = ''] = fields
  const [token, redrivenAt] = life.split(' ')
  const again = redrivenAt === undefined ? {} : { redrivenAt: Number(redrivenAt) }
  return { id, key: key === '' ? undefined : key, token: Number(token), body: rest, ...again }
}

export function readDeadLetter(data: Uint8Array): DeadLetter {
  const [fields = [], rest] = split(textOf(data), 5)
  const [id = '', key = '', token = '', starts = '', letters = ''] = fields
  const reason = rest.slice(0, Number(letters))
  const body = rest.slice(reason.length)
  return { id, key: key === '' ? undefined : key, token: Number(token), starts: Number(starts), reason, body }
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8')
}

/** The first fields, and what follows them; no fields when there are not so many. */
function split(text: string, count: number): readonly [fields: string[] | undefined, rest: string] {
  const fields: string[] = []
  let from = 0
  while (fields.length < count) {
    const end = text.indexOf(nul, from)
    if (end < 0) return [undefined, text]
    fields.push(text.slice(from, end))
    from = end + 1
  }
  return [fields, text.slice(from)]
}

function cut(reason: string): string {
  let kept = reason.slice(0, maxReasonBytes)
  while (Buffer.byteLength(kept) > maxReasonBytes) kept = kept.slice(0, Math.floor(kept.length * 0.9))
  return kept.isWellFormed() ? kept : kept.toWellFormed()
}
