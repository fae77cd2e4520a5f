// What guaranteeOf prints, against rules under the worst traffic: every window of what was allowed is looked at, and the worst case is reached.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { guaranteeOf } from '../../src/limit/guarantee.ts'
import { limits } from '../../src/limit/limits.ts'
import type { Rule } from '../../src/limit/rule/rule.ts'
import { fakeClock } from '../../src/testing/fake-clock.ts'

/** The most in any window [t, t + windowMs), by looking at each. */
function mostIn(times: readonly number[], windowMs: number): number {
  let most = 0
  for (const [i, from] of times.entries()) {
    let count = 0
    for (let j = i; j < times.length && times[j]! < from + windowMs; j++) count += 1
    most = Math.max(most, count)
  }
  return most
}

const whole = (min: number, max: number) => fc.integer({ min, max })
const per = whole(20, 200)
const rules: Readonly<Record<string, fc.Arbitrary<Rule>>> = {
  'small atMost': fc.record({ atMost: whole(1, 8), per }),
  'large atMost': fc.record({ atMost: whole(65, 80), per }),
  'window of a key': fc.record({ atMost: whole(1, 8), per, window: fc.constant('key' as const) }),
  bucket: fc.record({ capacity: whole(1, 10), refill: whole(1, 9), per }),
}

test.each(Object.keys(rules))('%s: no window ever has more than the guarantee says', (name) => {
  fc.assert(
    fc.property(
      rules[name]!,
      fc.array(whole(0, 30), { minLength: 100, maxLength: 300, size: 'max' }),
      (rule, steps) => {
        let nowMs = 1_000_000
        const clock = { ...fakeClock(), elapsed: () => nowMs, now: () => nowMs }
        const gate = limits({ rules: { rule }, clock })
        const times: number[] = []
        for (const step of steps) {
          // Many at once, and then a while nothing.
          nowMs += step > 24 ? step * 8 : step % 3 === 0 ? 1 : 0
          if (gate.decide({}).allowed) times.push(nowMs)
        }
        const [guarantee] = guaranteeOf(rule)
        for (const windowMs of [1, 7, guarantee!.windowMs!, 3 * guarantee!.windowMs!]) {
          const found = mostIn(times, windowMs)
          assert.ok(
            found <= guarantee!.mostIn(windowMs),
            `${found} in ${windowMs} ms, and ${guarantee!.text}`,
          )
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('the worst case is a true one: somebody can reach it', () => {
  let nowMs = 0
  const clock = { ...fakeClock(), elapsed: () => nowMs, now: () => nowMs }
  const reach = (rule: Rule, moments: readonly number[]) => {
    nowMs = 0
    const gate = limits({ rules: { rule }, clock })
    const times: number[] = []
    for (nowMs of moments) while (gate.decide({}).allowed) times.push(nowMs)
    return mostIn(times, 1_000)
  }
  const key: Rule = { atMost: 5, per: 'second', window: 'key' }
  // One begins the window; the rest comes at its end, and as much again right after it.
  nowMs = 0
  const gate = limits({ rules: { rule: key }, clock })
  gate.decide({})
  expect(guaranteeOf(key)[0]!.most).toBe(10)
  nowMs = 999
  let late = 0
  while (gate.decide({}).allowed) late += 1
  nowMs = 1_000
  while (gate.decide({}).allowed) late += 1
  expect(late).toBe(9)
  expect(reach({ atMost: 5, per: 'second' }, [0, 999, 1_000])).toBe(
    guaranteeOf({ atMost: 5, per: 'second' })[0]!.most,
  )
  const bucket: Rule = { capacity: 5, refill: 7, per: 'second' }
  expect(
    reach(
      bucket,
      Array.from({ length: 1_000 }, (_, ms) => ms),
    ),
  ).toBe(11)
  expect(guaranteeOf(bucket)[0]!.most).toBe(12)
})

test('guarantees in words', () => {
  const said = (rule: Rule) =>
    guaranteeOf(rule).map(({ plan, text }) => (plan === undefined ? text : `${plan}: ${text}`))
  expect([
    ...said({ atMost: 2, per: 'second', by: 'user' }),
    ...said({ atMost: { free: 10, pro: 1_000 }, per: 'minute', by: 'user' }),
    ...said({ capacity: 20, refill: 5, per: 'second' }),
    ...said({ atMost: 1_000, per: 'day', by: 'user', window: 'calendar', timeZone: 'Europe/Berlin' }),
    ...said({ atMost: 3, per: '10s', window: 'key' }),
    ...said({ pace: 10, per: 'second' }),
    ...said({ atOnce: 4, by: 'user' }),
  ]).toEqual([
    'at most 2 for each key in any second, wherever it begins; refused only when as many stand in the last second',
    'free: at most 10 for each key in any minute, wherever it begins; what was used comes back after the minute, up to a sixteenth of it later',
    'pro: at most 1000 for each key in any minute, wherever it begins; what was used comes back after the minute, up to a sixteenth of it later',
    '20 at once and what is refilled, so at most 25 in any second, wherever it begins',
    'at most 1000 in each day of the calendar (Europe/Berlin) for each key, so up to 2000 within moments across its border',
    'at most 3 in each 10 seconds that begins with a first request, so up to 6 in any 10 seconds',
    '10 in any second, wherever it begins, one after the other',
    'at most 4 at the same time for each key',
  ])
})
