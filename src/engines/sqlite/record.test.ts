import fc from 'fast-check'
import { expect, test } from 'vitest'
import { offsetsOf, RecordReader, roomFor, writeRecord } from './record.ts'

const text = fc.string({ unit: 'binary' })
const record = fc.record({ id: text, key: fc.option(text, { nil: undefined }), body: text })

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

test('an empty key is a key', () => {
  const buffer = Buffer.alloc(100)
  const end = writeRecord(buffer, writeRecord(buffer, 0, 'a', '', 'x'), 'b', undefined, 'y')
  const reader = new RecordReader()
  reader.start(buffer.subarray(0, end))
  expect([reader.next((_id, key) => key), reader.next((_id, key) => key)]).toEqual(['', undefined])
})
