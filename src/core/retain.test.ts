import { expect, test } from 'vitest'
import { type Retain, retentionOf } from './retain.ts'

test('what people write becomes milliseconds and bytes', () => {
  expect(retentionOf('forever')).toEqual({})
  expect(retentionOf({ for: '30d' })).toEqual({ maxAgeMs: 30 * 86_400_000 })
  expect(retentionOf({ bytes: '1.5GB' })).toEqual({ maxBytes: 1_500_000_000 })
  expect(retentionOf({ for: 5_000, bytes: 12 })).toEqual({ maxAgeMs: 5_000, maxBytes: 12 })
  expect(retentionOf({ compact: true })).toEqual({ compact: { tombstonesMs: 7 * 86_400_000 } })
  expect(retentionOf({ compact: true, tombstones: '1h' })).toEqual({ compact: { tombstonesMs: 3_600_000 } })
})

test('what is no retention is refused', () => {
  for (const wrong of [
    {},
    'never',
    null,
    { for: '999ms' },
    { for: 'x' },
    { bytes: '10 GB' },
    { bytes: 0 },
    { bytes: 1.5 },
    { compact: false },
    { compact: true, for: '1d' },
    { compact: true, bytes: '1GB' },
    { compact: true, tombstones: '-1s' },
    { for: '1d', tombstones: '1d' },
  ])
    expect(() => retentionOf(wrong as Retain), JSON.stringify(wrong)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
})
