// The batches we write are read by the client library, and those that it writes are read by us.
import { Buffer } from 'node:buffer'
import * as client from '@platformatic/kafka'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AbortedTransaction, codecsOf, RecordCursor } from './batch-reader.ts'
import { batchOverhead, outRecord, recordOverhead, writeBatch } from './batch-writer.ts'

const codecs = codecsOf(client)
const sequence = { producerId: 7n, epoch: 0, first: 12 }
const text = fc.string({ unit: 'binary', maxLength: 300 })
const pair = fc.record({ key: fc.option(text, { nil: undefined }), body: text })

function ours(records: readonly { key: string | undefined; body: string }[], now = 1000): Buffer {
  const sized = records.map(({ key, body }) => outRecord(key, body))
  return writeBatch(sized, sequence, now, client.crc32c)
}

function drain(cursor: RecordCursor) {
  const found = []
  for (; cursor.head !== undefined; cursor.advance()) found.push(cursor.head)
  return found
}

function cursor(bytes: Buffer, from = 0, aborted: readonly AbortedTransaction[] = []): RecordCursor {
  return new RecordCursor(bytes, 3, from, from, aborted, codecs)
}

/** As a broker does: gives the batch its first position, which the checksum does not cover. */
function placed(batch: Buffer, base: number): Buffer {
  const bytes = Buffer.from(batch)
  bytes.writeBigInt64BE(BigInt(base), 0)
  return bytes
}

/** Kafka's varint: zigzag, then seven bits a byte. Written here once more, because the library's is off above 2^31. */
function zigzag(value: number): Buffer {
  const bytes: number[] = []
  let rest = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value)
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return Buffer.from([...bytes, Number(rest)])
}

describe('batches that we write', () => {
  test('are read by the library as they were meant', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 200 }), (records) => {
        const [batch] = client.readRecordsBatches(client.Reader.from(ours(records)))
        expect(batch).toMatchObject({ magic: 2, producerId: 7n, producerEpoch: 0, firstSequence: 12 })
        expect(batch!.lastOffsetDelta).toBe(records.length - 1)
        expect(batch!.firstTimestamp).toBe(1000n)
        const found = batch!.records.map(({ key, value, headers, offsetDelta }, index) => {
          expect(offsetDelta).toBe(index)
          expect(headers.map((header) => header.map(String))).toEqual([
            ['content-type', 'application/cloudevents+json'],
          ])
          return { key: key?.toString(), body: value!.toString() }
        })
        const bytes = (value: string | undefined) =>
          value === undefined ? undefined : Buffer.from(value).toString()
        expect(found).toEqual(records.map(({ key, body }) => ({ key: bytes(key), body: bytes(body) })))
      }),
      { numRuns: 60 },
    )
  })

  test('carry a checksum over everything from the attributes on', () => {
    const bytes = ours([{ key: 'a', body: 'b' }])
    expect(bytes.readUInt32BE(17)).toBe(client.jsCRC32C(bytes.subarray(21)))
  })

  test('are never larger than the overhead that limits are computed with', () => {
    for (const length of [0, 63, 64, 8191, 8192, 1_048_575, 1_048_576]) {
      const record = { key: 'k'.repeat(Math.min(length, 9000)), body: 'b'.repeat(length) }
      const bytes = ours([record])
      expect(bytes.length).toBeLessThanOrEqual(
        batchOverhead + recordOverhead + record.key.length + record.body.length,
      )
    }
  })
})

describe('batches that we read', () => {
  test('come back from our own writing, and carry on at the next position', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 100 }), fc.nat(2 ** 40), (records, base) => {
        const reader = cursor(placed(ours(records, 1_700_000_000_123), base))
        expect(drain(reader)).toEqual(
          records.map(({ key, body }, index) => ({
            partition: 3,
            position: base + index,
            key: key === undefined ? undefined : Buffer.from(key).toString(),
            body: Buffer.from(body).toString(),
            appendedAt: 1_700_000_000_123,
            version: undefined,
          })),
        )
        expect(reader.next).toBe(base + records.length)
      }),
      { numRuns: 60 },
    )
  })

  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('may be compressed: %s', (compression) => {
    const messages = Array.from({ length: 50 }, (_, index) => ({
      topic: 't',
      partition: 3,
      key: Buffer.from(`k${index}`),
      value: Buffer.from(`value ${index} `.repeat(20)),
      timestamp: 1_700_000_000_000n + BigInt(index * 40_000_000),
    }))
    const bytes = client.createRecordsBatch(messages, { compression }).buffer
    const found = drain(cursor(placed(bytes, 900)))
    expect(found.map(({ body }) => body)).toEqual(messages.map(({ value }) => value.toString()))
    expect(found.map(({ position }) => position)).toEqual(messages.map((_, index) => 900 + index))
    expect(found.map(({ appendedAt }) => appendedAt)).toEqual(
      messages.map(({ timestamp }) => Number(timestamp)),
    )
  })

  test('may have times that are far apart, to either side of the first', () => {
    for (const delta of [2 ** 31, 5_000_000_000, 2 ** 40 + 1, -1, -(2 ** 33)]) {
      const record = Buffer.concat([
        Buffer.from([0]),
        zigzag(delta),
        ...[0, -1, 1].map(zigzag),
        Buffer.from('b'),
        zigzag(0),
      ])
      const bytes = Buffer.concat([
        ours([{ key: undefined, body: '' }]).subarray(0, 61),
        zigzag(record.length),
        record,
      ])
      bytes.writeInt32BE(bytes.length - 12, 8)
      bytes.writeUInt32BE(client.crc32c(bytes.subarray(21)), 17)
      expect(drain(cursor(bytes))).toMatchObject([{ body: 'b', appendedAt: 1000 + delta }])
    }
  })

  test('hold records below the position asked for, which are passed over', () => {
    const records = Array.from({ length: 10 }, (_, index) => ({ key: undefined, body: `${index}` }))
    const two = Buffer.concat([placed(ours(records), 0), placed(ours(records), 10)])
    expect(drain(cursor(two, 17)).map(({ position }) => position)).toEqual([17, 18, 19])
    const reader = cursor(two, 25)
    expect(reader.head).toBeUndefined()
    expect(reader.next).toBe(20)
  })

  test('may be cut off at the end: the part is for the next fetch', () => {
    const whole = placed(ours([{ key: undefined, body: 'whole' }]), 4)
    const part = placed(ours([{ key: undefined, body: 'part' }]), 5)
    for (const length of [1, 20, 61, part.length - 1]) {
      const reader = cursor(Buffer.concat([whole, part.subarray(0, length)]), 4)
      expect(drain(reader).map(({ body }) => body)).toEqual(['whole'])
      expect(reader.next).toBe(5)
    }
  })

  test('may have a null where a body is (a tombstone), and no key', () => {
    const bytes = client.createRecordsBatch([
      { topic: 't', partition: 3, value: null as unknown as Buffer },
    ]).buffer
    expect(drain(cursor(bytes))).toMatchObject([{ key: undefined, body: '' }])
  })

  test('are refused when they do not match their checksum', () => {
    const bytes = ours([{ key: 'a', body: 'b' }])
    bytes[bytes.length - 1]! ^= 1
    expect(() => cursor(bytes)).toThrow(/checksum/)
  })

  test('that cannot be decompressed are not passed over: reading goes on at them, and reports them', () => {
    const broken = ours([{ key: undefined, body: 'compressed, it says' }])
    for (const algorithm of [1, 2, 3, 4, 7]) {
      broken.writeInt16BE(algorithm, 21)
      broken.writeUInt32BE(client.crc32c(broken.subarray(21)), 17)
      const good = placed(ours([{ key: undefined, body: 'good' }]), 4)
      const reader = cursor(Buffer.concat([good, placed(broken, 5), placed(good, 6)]), 4)
      expect(reader.head?.body).toBe('good')
      expect(() => reader.advance()).toThrow(
        algorithm === 7 ? 'compressed in an unknown way (7)' : 'the batch at 5',
      )
      expect(reader.next).toBe(5)
      expect(() => cursor(placed(broken, 5), 5)).toThrow()
    }
  })

  test('take the time of the batch when the broker set it', () => {
    const bytes = ours([
      { key: undefined, body: 'a' },
      { key: undefined, body: 'b' },
    ])
    bytes.writeInt16BE(0x08, 21)
    bytes.writeBigInt64BE(5000n, 35)
    bytes.writeUInt32BE(client.crc32c(bytes.subarray(21)), 17)
    expect(drain(cursor(bytes)).map(({ appendedAt }) => appendedAt)).toEqual([5000, 5000])
  })

  test('of an aborted transaction are passed over until its marker, those of others are not', () => {
    const transactional = (producerId: bigint, base: number, body: string) => {
      const bytes = client.createRecordsBatch([{ topic: 't', partition: 3, value: Buffer.from(body) }], {
        producerId,
        transactionalId: 'x',
      }).buffer
      return placed(bytes, base)
    }
    const marker = (producerId: bigint, base: number) => {
      const bytes = transactional(producerId, base, 'marker')
      bytes.writeInt16BE(0x30, 21)
      bytes.writeUInt32BE(client.crc32c(bytes.subarray(21)), 17)
      return bytes
    }
    const bytes = Buffer.concat([
      transactional(1n, 0, 'committed'),
      transactional(2n, 1, 'aborted'),
      placed(ours([{ key: undefined, body: 'plain' }]), 2),
      transactional(2n, 3, 'aborted too'),
      marker(2n, 4),
      transactional(2n, 5, 'the next transaction'),
      marker(1n, 6),
      marker(2n, 7),
    ])
    const reader = cursor(bytes, 0, [{ producerId: 2n, firstOffset: 1n }])
    expect(drain(reader).map(({ body }) => body)).toEqual(['committed', 'plain', 'the next transaction'])
    expect(reader.next).toBe(8)
  })
})
