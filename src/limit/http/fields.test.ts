import fc from 'fast-check'
import { parseList } from 'structured-headers'
import { describe, expect, test } from 'vitest'
import { limitItem, policyItem, quoted, retryAfter } from './fields.ts'
import { limitProblem, problemKindOf } from './problem.ts'

describe('RateLimit-Policy', () => {
  test.each([
    [{ name: 'burst', quota: 100, windowMs: 60_000 }, '"burst";q=100;w=60'],
    [{ name: 'daily', quota: 1_000, windowMs: 86_400_000 }, '"daily";q=1000;w=86400'],
    [{ name: 'reports', quota: 4, unit: 'concurrent-requests' }, '"reports";q=4;qu="concurrent-requests"'],
    [
      { name: 'in', quota: 65_535, unit: 'content-bytes', windowMs: 10_000 },
      '"in";q=65535;qu="content-bytes";w=10',
    ],
    [{ name: 'plain', quota: 7, unit: 'requests', windowMs: 1_500 }, '"plain";q=7;w=2'],
    [{ name: 'tenths', quota: 5, windowMs: 100 }, '"tenths";q=5'],
    [
      { name: 'uploads', quota: 20, windowMs: 4_000, cost: 'megabytes' },
      '"uploads";q=20;w=4;spillway-cost="megabytes"',
    ],
  ] as const)('%j is %s', (policy, item) => {
    expect(policyItem(policy)).toBe(item)
  })

  test('a name that a structured field cannot carry is refused with what would do', () => {
    expect(() => quoted('größe')).toThrow(/letters, digits/)
    expect(quoted('a "b" \\c')).toBe('"a \\"b\\" \\\\c"')
  })
})

describe('RateLimit', () => {
  test('seconds are rounded up, and what is not known is not said', () => {
    expect(limitItem('"burst"', 50, 30_000)).toBe('"burst";r=50;t=30')
    expect(limitItem('"burst"', 0, 1)).toBe('"burst";r=0;t=1')
    expect(limitItem('"burst"', 49.9, 29_001)).toBe('"burst";r=49;t=30')
    expect(limitItem('"burst"', -3, 0)).toBe('"burst";r=0;t=0')
    expect(limitItem('"reports"', 2, undefined)).toBe('"reports";r=2')
    expect(limitItem('"reports"', 0, Number.POSITIVE_INFINITY)).toBe('"reports";r=0')
  })

  test('any of it is a structured field that says the same', () => {
    const count = fc.double({ min: 0, max: 2 ** 53, noNaN: true })
    const ms = fc.integer({ min: 0, max: 999_999_999_999 })
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), count, ms, (name, left, moreMs) => {
        const [[text, parameters] = []] = parseList(limitItem(quoted(name), left, moreMs))
        expect(text).toBe(name)
        expect(parameters?.get('r')).toBe(Math.min(Math.floor(left), 999_999_999_999_999))
        expect((parameters?.get('t') as number) * 1_000).toBeGreaterThanOrEqual(moreMs)
      }),
    )
  })
})

describe('Retry-After', () => {
  test('is never earlier than the wait, and later by a tenth at most, a second at least, a minute never exceeded', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 90_000_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (waitMs, random) => {
          const said = retryAfter(waitMs, () => random)
          expect(Number.isInteger(said)).toBe(true)
          expect(said * 1_000).toBeGreaterThanOrEqual(waitMs)
          const least = Math.ceil(waitMs / 1_000)
          expect(said - least).toBeLessThanOrEqual(Math.min(60, Math.max(1, least / 10)))
        },
      ),
    )
  })

  test('spreads a herd', () => {
    const said = new Set(Array.from({ length: 1_000 }, () => retryAfter(600_000)))
    expect(said.size).toBeGreaterThan(40)
  })
})

test('a problem says which rules refused, by a type that a client knows again', () => {
  const problem = limitProblem('quota-exceeded', ['posts'], 'At most 2 a second.')
  expect(problem).toEqual({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Quota Exceeded',
    status: 429,
    detail: 'At most 2 a second.',
    'violated-policies': ['posts'],
  })
  expect(problemKindOf(problem.type)).toBe('quota-exceeded')
  expect(limitProblem('temporary-reduced-capacity', [], '').status).toBe(503)
  expect(problemKindOf('https://www.iana.org/assignments/http-problem-types#abnormal-usage-detected')).toBe(
    'abnormal-usage-detected',
  )
  expect(problemKindOf('https://example.org/#quota-exceeded')).toBeUndefined()
  expect(problemKindOf('https://iana.org/assignments/http-problem-types#toString')).toBeUndefined()
})
