import fc from 'fast-check'
import { expect, test } from 'vitest'
import { idOf, keyOf, offsetsOf, RecordReader, redriven, roomFor, writeRecord } from './record.ts'

const text = fc.string({ unit: 'binary' })
/** The port's ids have no NUL. */
const id = text.map((any) => any.replaceAll('\0', '_'))
const record = fc.record({ id, key: fc.option(text, { nil: undefined }), body: text })

test('records come back as they were written, one after the other and each by its offset', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
      const buffer = Buffer.alloc(records.reduce((sum, { id, key, body }) => sum + roomFor(id, key, body), 0))
      let end = 0
      for (const { id, key, body } of records) end = writeRecord(buffer, end, id, key, body)
      const data = buffer.subarray(0, end)
      const reader = new RecordReader()
      reader.start(data)
      const make = (id: string, key: string | undefined, body: string) => ({ id, key, body })
      expect(records.map(() => reader.next(make))).toEqual(records)
      const offsets = offsetsOf(data, records.length)
      expect(offsets[records.length]).toBe(end)
      for (const [index, expected] of records.entries()) {
        reader.start(data.subarray(offsets[index]!, offsets[index + 1]!))
        expect(reader.next(make)).toEqual(expected)
      }
    }),
  )
})

test('a record that is redriven, once and again, is the same with its time', () => {
  fc.assert(
    fc.property(
      record,
      fc.array(fc.nat(2 ** 45), { minLength: 1, maxLength: 3 }),
      ({ id, key, body }, times) => {
        const buffer = Buffer.alloc(roomFor(id, key, body))
        let data: Uint8Array = buffer.subarray(0, writeRecord(buffer, 0, id, key, body))
        for (const time of times) data = redriven(data, time)
        const reader = new RecordReader()
        reader.start(data)
        const read = reader.next((...fields) => fields)
        expect(read).toEqual([id, key, body, Buffer.byteLength(body), times.at(-1)])
        expect([idOf(data), keyOf(data)]).toEqual([id, key ?? null])
        expect([...offsetsOf(data, 1)]).toEqual([0, data.length])
      },
    ),
  )
})

test('an empty key is a key', () => {
  const buffer = Buffer.alloc(100)
  const end = writeRecord(buffer, writeRecord(buffer, 0, 'a', '', 'x'), 'b', undefined, 'y')
  const reader = new RecordReader()
  reader.start(buffer.subarray(0, end))
  expect([reader.next((_id, key) => key), reader.next((_id, key) => key)]).toEqual(['', undefined])
})
