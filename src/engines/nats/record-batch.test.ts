import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BatchReader, writeBatch } from './record-batch.ts'

const text = fc.string({ unit: 'binary' }).filter((it) => it.isWellFormed())
const record = fc.record({
  key: fc.option(
    text.filter((key) => key !== ''),
    { nil: undefined },
  ),
  body: text,
})

function batch(records: readonly { readonly key: string | undefined; readonly body: string }[]): Buffer {
  return writeBatch(
    records.map(({ key, body }) => ({
      key,
      keyBytes: Buffer.byteLength(key ?? ''),
      body,
      bodyBytes: Buffer.byteLength(body),
    })),
  )
}

test('what was written comes back, wherever reading begins', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), fc.nat(), (records, skip) => {
      const reader = new BatchReader(batch(records), 7, 1)
      const first = skip % records.length
      while (reader.index < first) reader.skip()
      expect(reader.position).toBe(7 * 512 + first)
      const found: { key: string | undefined; body: string }[] = []
      while (!reader.done) found.push(reader.next())
      expect(found).toEqual(records.slice(first))
    }),
  )
})

test.each(['', '{"a":1}', '2 1 -1 0\n', '1 2 -1 0\n'])('%j is refused as none of ours', (data) => {
  expect(() => new BatchReader(Buffer.from(data), 1, 1)).toThrow(/not a batch/)
})
