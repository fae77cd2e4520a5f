import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Clock } from './clock.ts'
import { RetryBudget, type RetryBudgetOptions } from './retry-budget.ts'

function budget(options: RetryBudgetOptions) {
  const time = { ms: 0 }
  const clock: Clock = { now: () => time.ms, elapsed: () => time.ms, after: () => () => {} }
  return { time, subject: new RetryBudget(options, clock) }
}

/** How many retries of so many that are asked for. */
function granted(subject: RetryBudget, asked: number): number {
  return Array.from({ length: asked }, () => subject.tryRetry()).filter(Boolean).length
}

test('a dead destination with a thousand calls a second gets a fifth more, and no multiple', () => {
  const { subject, time } = budget({})
  let retries = 0
  for (let call = 0; call < 10_000; call++) {
    time.ms += 1
    subject.called()
    retries += granted(subject, 3)
  }
  // The burst, a fifth of 10,000 and one for each of ten seconds; but what the first call brings to the full bucket is lost.
  expect(retries).toBe(50 + 2_000 + 10 - 1)
})

test('who calls rarely may retry too', () => {
  const { subject, time } = budget({})
  expect(granted(subject, 60)).toBe(50)
  time.ms += 999
  expect(granted(subject, 1)).toBe(0)
  time.ms += 1
  expect(granted(subject, 2)).toBe(1)
})

const step = fc.oneof(
  fc.record({ kind: fc.constant('call' as const) }),
  fc.record({ kind: fc.constant('retry' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0.3, 0.7, 1, 17.9, 333, 5_000) }),
)

test('in every span of every history: no more than burst, share and floor together, and no less than is there', () => {
  fc.assert(
    fc.property(
      fc.record({
        share: fc.constantFrom(0, 0.001, 0.1, 0.2, 0.333, 1),
        perSecond: fc.integer({ min: 0, max: 3 }),
        burst: fc.integer({ min: 1, max: 4 }),
      }),
      fc.array(step, { maxLength: 200 }),
      (options, steps) => {
        const { subject, time } = budget(options)
        // Exact, since everything is a whole number of thousandths: what was added and not lost over the brim.
        let there = options.burst * 1_000
        let filledMs = 0
        const add = (thousandths: number) => {
          there = Math.min(options.burst * 1_000, there + thousandths)
        }
        for (const { kind, ...rest } of steps) {
          if ('ms' in rest) time.ms += rest.ms
          add((Math.floor(time.ms) - filledMs) * options.perSecond)
          filledMs = Math.floor(time.ms)
          if (kind === 'call') {
            subject.called()
            add(Math.round(options.share * 1_000))
          }
          expect(subject.snapshot().left).toBe(Math.floor(there / 1_000))
          if (kind !== 'retry') continue
          const may = there >= 1_000
          expect(subject.tryRetry()).toBe(may)
          if (may) there -= 1_000
        }
      },
    ),
    { numRuns: 300 },
  )
})

test.each([
  { share: -0.1 },
  { share: 1.1 },
  { share: 0.0005 },
  { perSecond: 0.5 },
  { burst: 0 },
  { shares: 1 },
])('%o cannot work', (options) => {
  expect(() => new RetryBudget(options as RetryBudgetOptions)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  )
})
