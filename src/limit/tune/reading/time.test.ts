import fc from 'fast-check'
import { expect, test } from 'vitest'
import { accessTime, epochTime, isoTime } from './time.ts'

test.each([
  ['2026-11-23T06:50:03Z', '2026-11-23T06:50:03.000Z', 0],
  ['2026-11-23T06:50:03.5Z', '2026-11-23T06:50:03.500Z', 0],
  ['2026-11-23T06:50:03.123456789Z', '2026-11-23T06:50:03.123Z', 456],
  ['2026-11-23T06:50:03.1234Z', '2026-11-23T06:50:03.123Z', 400],
  ['2026-11-23 06:50:03,120', '2026-11-23T06:50:03.120Z', 0],
  ['2026-11-23T08:50:03.120+02:00', '2026-11-23T06:50:03.120Z', 0],
  ['2026-11-23T01:20:03-0530', '2026-11-23T06:50:03.000Z', 0],
  ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z', 0],
  ['1969-12-31T23:59:59.5Z', '1969-12-31T23:59:59.500Z', 0],
])('%s', (text, wanted, micros) => {
  for (let twice = 0; twice < 2; twice++) expect(isoTime(text)).toBe(Date.parse(wanted) * 1_000 + micros)
})

test.each([
  '',
  'now',
  '2026-11-23',
  '2026-11-23T06:50Z',
  '2026-13-01T00:00:00Z',
  '2026-02-29T00:00:00Z',
  '2026-11-23T24:00:00Z',
  '2026-11-23T06:60:00Z',
  '2026-11-23T06:50:61Z',
  '2026-11-23T06:50:03.Z',
  '2026-11-23T06:50:0xZ',
  '2026-11-23T06:50:03.12zZ',
  '2026-11-23T06:50:03+24:00',
  '2026-11-23T06:50:03-05:60',
])('%j is no time', (text) => {
  isoTime('2026-11-23T06:50:03Z')
  expect(isoTime(text)).toBeNaN()
})

test('any moment is read as Date reads it', () => {
  const moments = fc.date({ min: new Date('1900-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(fc.array(moments, { minLength: 1 }), (dates) => {
      for (const date of dates) expect(isoTime(date.toISOString())).toBe(date.getTime() * 1_000)
    }),
  )
})

test.each([
  [0, 0],
  [2.5, 2_500_000],
  [1_764_000_000, 1_764_000_000e6],
  [1_764_000_000.123, 1_764_000_000_123_000],
  [1_764_000_000_123, 1_764_000_000_123_000],
  [1_764_000_000_123_456, 1_764_000_000_123_456],
  [1.764e18, 1_764_000_000_000_000],
  // No double is so exact.
  [1_764_000_000_123_456_000, 1_764_000_000_123_456],
  [1_764_000_000_123_457_000, 1_764_000_000_123_457],
])('%d since 1970', (value, wanted) => {
  expect(epochTime(value)).toBe(wanted)
})

test('access logs', () => {
  const wanted = Date.parse('2015-05-17T10:05:03Z') * 1_000
  expect(accessTime('17/May/2015:10:05:03 +0000')).toBe(wanted)
  expect(accessTime('17/May/2015:12:05:03 +0200')).toBe(wanted)
  expect(accessTime('17/May/2015:04:35:03.250 -0530')).toBe(wanted + 250_000)
  for (const text of [
    '31/Jun/2015:10:05:03 +0000',
    '17/Mai/2015:10:05:03 +0000',
    '17/May/2015:10:05:03',
    '17/May/2015:10:05:03 +9999',
  ])
    expect(accessTime(text)).toBeNaN()
  expect(epochTime(Number.NaN)).toBeNaN()
})
