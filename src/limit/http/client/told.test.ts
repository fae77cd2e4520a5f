import { describe, expect, test } from 'vitest'
import { limitProblem } from '../problem.ts'
import { httpDate } from './http-date.ts'
import { policiesIn, problemIn, toldBy } from './told.ts'

const now = Date.UTC(2026, 10, 23, 12)

function told(fields: Readonly<Record<string, string>>) {
  return toldBy((name) => fields[name], now)
}

describe('dates of HTTP', () => {
  const at = Date.UTC(1994, 10, 6, 8, 49, 37)
  test.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', at],
    ['Sunday, 06-Nov-94 08:49:37 GMT', at],
    ['Sun Nov  6 08:49:37 1994', at],
    ['Sun Nov 16 08:49:37 1994', at + 10 * 86_400_000],
    ['Wednesday, 06-Nov-30 08:49:37 GMT', Date.UTC(2030, 10, 6, 8, 49, 37)],
    ['Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2017, 0, 1)],
    ['Sun, 06 Nov 1994 08:49:37 CET', undefined],
    ['Sun, 30 Feb 1994 08:49:37 GMT', undefined],
    ['Sun, 06 Nov 1994 24:00:00 GMT', undefined],
    ['1994-11-06T08:49:37Z', undefined],
    ['', undefined],
  ])('%s', (text, expected) => {
    expect(httpDate(text, now)).toBe(expected)
  })
})

describe('Retry-After', () => {
  test('seconds', () => {
    expect(told({ 'retry-after': '120' }).retryAfterMs).toBe(120_000)
    expect(told({ 'retry-after': ' 0 ' }).retryAfterMs).toBe(0)
  })

  test('a date is one of the clock of the server, however wrong that is', () => {
    const fields = { 'retry-after': 'Mon, 05 Aug 2019 09:27:05 GMT' }
    expect(told({ ...fields, date: 'Mon, 05 Aug 2019 09:27:00 GMT' }).retryAfterMs).toBe(5_000)
    expect(told({ ...fields, date: 'Mon, 05 Aug 2019 09:28:00 GMT' }).retryAfterMs).toBe(0)
    expect(told({ 'retry-after': 'Mon, 23 Nov 2026 12:00:07 GMT' }).retryAfterMs).toBe(7_000)
    expect(told({ 'retry-after': 'Mon, 23 Nov 2026 12:00:07 GMT', date: 'today' }).retryAfterMs).toBe(7_000)
  })

  test.each(['soon', '-1', '1.5', '1e3', '', '0x10'])('%j says nothing', (text) => {
    expect(told({ 'retry-after': text }).retryAfterMs).toBeUndefined()
  })
})

describe('RateLimit', () => {
  test('each item is a policy, and each partition of it one of its own', () => {
    expect(policiesIn('"permin";r=50;t=60,\t"perhr";r=1000')).toEqual([
      { policy: 'permin', left: 50, withinMs: 60_000 },
      { policy: 'perhr', left: 1_000, withinMs: undefined },
    ])
    const [first, second] = policiesIn('"app";r=1;pk=:YQ==:, "app";r=2;pk=:Yg==:;t=5;acme-x=tok')
    expect([first?.left, second?.left]).toEqual([1, 2])
    expect(first?.policy).not.toBe(second?.policy)
  })

  test.each([
    '"burst";r=-1',
    '"burst";r=1.5',
    '"burst";r="5"',
    '"burst"',
    '"burst";r=5;t=soon',
    '"burst";r=5;t=-1',
    '"burst";r=5;pk=abc',
    'burst;r=5',
    '("burst");r=5',
    '"burst;r=5',
    '"burst";r=5,',
    '"bürst";r=5',
    'limit=100, remaining=50, reset=30',
    'x'.repeat(10_000),
    Array.from({ length: 33 }, (_, index) => `"p${index}";r=1`).join(','),
  ])('%j is malformed, and all of it is passed over', (text) => {
    expect(policiesIn(text)).toEqual([])
  })

  test('what comes from a cache says nothing of now', () => {
    const fields = { ratelimit: '"burst";r=0;t=30' }
    expect(told({ ...fields, age: '12' }).policies).toEqual([])
    expect(told({ ...fields, age: '0' }).policies).toHaveLength(1)
  })
})

test('a problem body is told by its type, and nothing else is one', () => {
  const body = JSON.stringify(limitProblem('quota-exceeded', ['posts'], ''))
  expect(problemIn('application/problem+json; charset=utf-8', body)).toBe('quota-exceeded')
  expect(problemIn('application/json', body)).toBeUndefined()
  expect(problemIn('application/problem+json', body.slice(1))).toBeUndefined()
  expect(problemIn('application/problem+json', 'null')).toBeUndefined()
})
