// Record batches, format version 2, on the way out: sizes first, then one buffer, written once.
import { Buffer } from 'node:buffer'

/** A record with the sizes of its parts in UTF-8. */
export interface OutRecord {
  readonly key: string | undefined
  readonly keyBytes: number
  readonly body: string
  readonly bodyBytes: number
  readonly tombstone: boolean
}

export interface Sequence {
  readonly producerId: bigint
  readonly epoch: number
  /** The number of the batch's first record among those that this producer id wrote to the partition. */
  readonly first: number
}

/** The CloudEvents binding for Kafka, structured mode: the content type tells that the value is a whole event. */
const contentType = ['content-type', 'application/cloudevents+json'] as const
const headers = encodeHeaders([contentType])
/** For Kafka a record without a value removes its key. The event that says so stands in a header: the last one, with its value behind it. */
export const tombstoneHeader = 'spillway-event'
const tombstoneHeaders = encodeHeaders([contentType, [tombstoneHeader]])
const batchHead = 61

/** An upper bound for what a record takes in a batch besides its key and body, and what a batch of one takes besides that. */
export const recordOverhead: number = 5 + 1 + 10 + 5 + 5 + 5 + tombstoneHeaders.length
export const batchOverhead: number = batchHead

export function outRecord(key: string | undefined, body: string, tombstone = false): OutRecord {
  return {
    key,
    keyBytes: key === undefined ? 0 : Buffer.byteLength(key),
    body,
    bodyBytes: Buffer.byteLength(body),
    tombstone,
  }
}

/** All records carry the same time. `crc32c` is the checksum of the batch from its attributes on. */
export function writeBatch(
  records: readonly OutRecord[],
  sequence: Sequence,
  now: number,
  crc32c: (bytes: Uint8Array) => number,
): Buffer {
  let size = batchHead
  for (const [index, record] of records.entries()) {
    const inner = innerSize(record, index)
    size += sizeOfVarint(inner) + inner
  }
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeBigInt64BE(0n, 0)
  bytes.writeInt32BE(size - 12, 8)
  bytes.writeInt32BE(-1, 12)
  bytes.writeInt8(2, 16)
  bytes.writeInt16BE(0, 21)
  bytes.writeInt32BE(records.length - 1, 23)
  bytes.writeBigInt64BE(BigInt(now), 27)
  bytes.writeBigInt64BE(BigInt(now), 35)
  bytes.writeBigInt64BE(sequence.producerId, 43)
  bytes.writeInt16BE(sequence.epoch, 51)
  bytes.writeInt32BE(sequence.first, 53)
  bytes.writeInt32BE(records.length, 57)
  let at = batchHead
  for (const [index, record] of records.entries()) at = writeRecord(bytes, at, record, index)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

function innerSize(record: OutRecord, index: number): number {
  return (
    2 + // attributes, and a time delta of 0
    sizeOfVarint(index) +
    (record.key === undefined ? 1 : sizeOfVarint(record.keyBytes) + record.keyBytes) +
    sizeOfVarint(record.bodyBytes) +
    record.bodyBytes +
    (record.tombstone ? 1 + tombstoneHeaders.length : headers.length)
  )
}

function writeRecord(bytes: Buffer, start: number, record: OutRecord, index: number): number {
  let at = writeVarint(bytes, start, innerSize(record, index))
  bytes[at++] = 0
  bytes[at++] = 0
  at = writeVarint(bytes, at, index)
  if (record.key === undefined) bytes[at++] = 1
  else {
    at = writeVarint(bytes, at, record.keyBytes)
    at += bytes.write(record.key, at, record.keyBytes)
  }
  if (record.tombstone) {
    bytes[at++] = 1
    at += tombstoneHeaders.copy(bytes, at)
  }
  at = writeVarint(bytes, at, record.bodyBytes)
  at += bytes.write(record.body, at, record.bodyBytes)
  return record.tombstone ? at : at + headers.copy(bytes, at)
}

/** The last value may be left out: it is written behind them. */
function encodeHeaders(pairs: readonly (readonly string[])[]): Buffer {
  const bytes = Buffer.alloc(256)
  let at = writeVarint(bytes, 0, pairs.length)
  for (const text of pairs.flat()) {
    at = writeVarint(bytes, at, Buffer.byteLength(text))
    at += bytes.write(text, at)
  }
  return Buffer.from(bytes.subarray(0, at))
}

/** For whole numbers from 0 to 2^30: zigzag doubles them. */
function sizeOfVarint(value: number): number {
  const zigzag = value * 2
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let rest = value * 2
  let at = start
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}
