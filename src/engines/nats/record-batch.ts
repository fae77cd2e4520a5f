// The records of one NATS message: a line of numbers, then all keys and bodies in one piece.
//
//     1 <count> <key bytes> <body bytes> <key bytes> <body bytes> …\n<key><body><key><body>…
//
// A record without key has -1 key bytes. Lengths are of UTF-8.
import { Buffer } from 'node:buffer'
import { Fault } from './errors.ts'

/** In a position the number of the message is above, that of the record in it below. */
export const recordsPerMessage = 512
/** What a batch is filled up to; a larger record has a batch of its own. */
export const maxBatchBytes: number = 512 * 1024
/** What the line of numbers takes for one record, at most, and what it takes otherwise. */
export const recordOverhead = 24
export const batchOverhead = 16

export interface BatchRecord {
  readonly key: string | undefined
  readonly keyBytes: number
  readonly body: string
  readonly bodyBytes: number
}

export function writeBatch(records: readonly BatchRecord[]): Buffer {
  let numbers = `1 ${records.length}`
  let text = ''
  for (const { key, keyBytes, body, bodyBytes } of records) {
    numbers += key === undefined ? ` -1 ${bodyBytes}` : ` ${keyBytes} ${bodyBytes}`
    if (key !== undefined) text += key
    text += body
  }
  return Buffer.from(`${numbers}\n${text}`, 'utf8')
}

/** Reads on from a record without looking at those before it. */
export class BatchReader {
  readonly sequence: number
  readonly time: number
  readonly count: number
  /** The index of the record that comes next. */
  index = 0
  readonly #bytes: Buffer
  readonly #numbers: Int32Array
  /** All of it as text, when bytes and letters are the same. */
  readonly #text: string | undefined
  #at: number

  constructor(data: Uint8Array, sequence: number, time: number) {
    this.sequence = sequence
    this.time = time
    this.#bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    const end = this.#bytes.indexOf(10)
    const numbers = this.#bytes.toString('latin1', 0, Math.max(end, 0)).split(' ')
    this.count = Number(numbers[1])
    if (end < 0 || numbers[0] !== '1' || numbers.length !== 2 + 2 * this.count)
      throw new Fault('API', `message ${sequence} is not a batch of records of Spillway`)
    this.#numbers = Int32Array.from(numbers.slice(2), Number)
    this.#at = end + 1
    const text = this.#bytes.toString('utf8')
    this.#text = text.length === this.#bytes.length ? text : undefined
  }

  get done(): boolean {
    return this.index >= this.count
  }

  get bodyBytes(): number {
    return this.#numbers[2 * this.index + 1]!
  }

  get position(): number {
    return this.sequence * recordsPerMessage + this.index
  }

  /** The record at `index`, and on to the next. */
  next(): { readonly key: string | undefined; readonly body: string } {
    const keyBytes = this.#numbers[2 * this.index]!
    const from = this.#at + Math.max(keyBytes, 0)
    const key = keyBytes < 0 ? undefined : this.#slice(this.#at, from)
    const body = this.#slice(from, from + this.bodyBytes)
    this.skip()
    return { key, body }
  }

  skip(): void {
    this.#at += Math.max(this.#numbers[2 * this.index]!, 0) + this.bodyBytes
    this.index += 1
  }

  #slice(from: number, to: number): string {
    return this.#text === undefined ? this.#bytes.toString('utf8', from, to) : this.#text.slice(from, to)
  }
}

export function positionOf(sequence: number): number {
  return sequence * recordsPerMessage
}

export function sequenceOf(position: number): number {
  return Math.floor(position / recordsPerMessage)
}
