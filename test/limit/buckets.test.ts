// Each algorithm against a model by brute force, which keeps every unit that was ever taken and looks at all of them.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { type Algorithm, boundOf, bucketOf } from '../../src/core/bucket/algorithm.ts'
import { largestWhole } from '../../src/core/bucket/bucket.ts'
import { logOf } from '../../src/core/bucket/log.ts'
import { slidingWindow } from '../../src/core/bucket/sliding-window.ts'
import { tokenBucket, tokenBuckets, tokenBucketsOf } from '../../src/core/bucket/token-bucket.ts'
import { type Model, modelOf } from './bucket-model.ts'

const whole = (from: number, to: number) => fc.integer({ min: from, max: to })
const period = fc.oneof(whole(1, 40), whole(1, 5_000), fc.constantFrom(1_000_000, 86_400_000_000))

const algorithms: Readonly<Record<Algorithm['kind'], fc.Arbitrary<Algorithm>>> = {
  'token-bucket': fc
    .tuple(whole(1, 12), whole(1, 30), period, fc.boolean())
    .map(([capacity, refill, perUs, coarse]) => {
      const bucket = tokenBucket(capacity, refill, perUs)!
      // As if microseconds were not enough.
      return coarse && perUs <= 5_000
        ? { ...tokenBucket(capacity, refill, perUs * 1_000)!, ...coarser(capacity, refill, perUs) }
        : bucket
    }),
  log: fc
    .tuple(whole(1, 9), period, whole(0, 5))
    .map(([limit, perUs, more]) => logOf(limit, perUs, limit + (more > 3 ? 0 : more))),
  'sliding-window': fc.tuple(whole(1, 40), period).map(([limit, perUs]) => slidingWindow(limit, perUs)),
  'fixed-window': fc.record({
    kind: fc.constant('fixed-window' as const),
    limit: whole(1, 9),
    perUs: period,
  }),
  'calendar-window': fc.record({
    kind: fc.constant('calendar-window' as const),
    limit: whole(1, 9),
    endUs: period,
  }),
  concurrency: fc.record({ kind: fc.constant('concurrency' as const), limit: whole(1, 9) }),
}

function coarser(capacity: number, refill: number, perMs: number) {
  const { unit, rate } = tokenBucket(capacity, refill, perMs)!
  return { unit, rate, tickUs: 1_000 }
}

/** What happens: time goes on (or back), then somebody asks, is given something back, or is punished. Times are shares of what is interesting. */
const act = fc.record({
  what: fc.constantFrom('ask', 'ask', 'ask', 'ask', 'refund', 'penalty'),
  cost: fc.oneof(fc.constant(1), whole(0, 12)),
  step: fc.oneof(fc.constant(0), whole(0, 3), whole(0, 1_500), whole(-400, 0)),
  which: whole(0, 50),
})

type Act = typeof act extends fc.Arbitrary<infer A> ? A : never

/** A step is so many thousandths of this. */
function spanOf(algorithm: Algorithm): number {
  if (algorithm.kind === 'log' || algorithm.kind === 'fixed-window') return algorithm.perUs
  if (algorithm.kind === 'sliding-window') return algorithm.sliceUs * 16
  if (algorithm.kind === 'calendar-window') return algorithm.endUs
  if (algorithm.kind === 'concurrency') return 1_000
  return Math.ceil((algorithm.capacity * algorithm.unit) / algorithm.rate) * algorithm.tickUs
}

/** The calendar of a bucket with calendar windows: each as long as the first. */
function at(algorithm: Algorithm, nowUs: number): Algorithm {
  if (algorithm.kind !== 'calendar-window') return algorithm
  return { ...algorithm, endUs: (Math.floor(nowUs / algorithm.endUs) + 1) * algorithm.endUs }
}

test('the plans of a rule count in the same units', () => {
  const [slow, fast] = tokenBucketsOf(
    [
      { capacity: 3, refill: 3 },
      { capacity: 20, refill: 10 },
    ],
    1_000_000,
  )!
  assert.equal(slow!.unit, fast!.unit)
  const numbers = new Float64Array(2)
  tokenBuckets.take(numbers, 0, fast!, 5_000_000, 20)
  assert.equal(tokenBuckets.available(numbers, 0, slow!, 5_000_000), -17, 'who goes down has what is left')
  tokenBuckets.take(numbers, 0, slow!, 5_000_000, 1)
  assert.equal(
    tokenBuckets.available(numbers, 0, slow!, 5_000_000),
    -17,
    'a penalty takes down to its bound, and gives nothing',
  )
})

describe.each(Object.keys(algorithms) as Algorithm['kind'][])('%s', (kind) => {
  const start = 1_750_000_000_000_000

  function play(algorithm: Algorithm, acts: readonly Act[]) {
    const bucket = bucketOf(algorithm)
    const model: Model = modelOf(algorithm)
    const offset = 3
    const numbers = new Float64Array(offset + bucket.size(algorithm) + 3).fill(7)
    numbers.fill(0, offset, offset + bucket.size(algorithm))
    const taken: { readonly cost: number; readonly takenUs: number; given: boolean }[] = []
    const span = spanOf(algorithm)
    let nowUs = start
    for (const { what, cost, step, which } of acts) {
      nowUs += Math.round((step * span) / 1_000)
      const parameters = at(algorithm, nowUs)
      const before = numbers.slice()
      const available = bucket.available(numbers, offset, parameters, nowUs)
      assert.equal(available, model.available(nowUs), 'available')
      const earliest = bucket.earliest(numbers, offset, parameters, nowUs, cost)
      assert.deepEqual(numbers, before, 'asking changes nothing')
      const availableAt = (timeUs: number) =>
        bucket.available(numbers, offset, at(algorithm, timeUs), timeUs) >= cost
      if (available >= cost) assert.equal(earliest, nowUs, 'it is available now')
      else if (cost > boundOf(algorithm) || kind === 'concurrency') assert.equal(earliest, Infinity)
      else {
        assert.ok(earliest > nowUs && Number.isSafeInteger(earliest), `earliest ${earliest}`)
        assert.ok(availableAt(earliest), 'what is promised for then is there then')
        assert.ok(!availableAt(earliest - 1), 'and not a microsecond before')
      }
      const idle = bucket.isIdle(numbers, offset, parameters, nowUs)
      assert.equal(idle, model.isIdle(nowUs), 'idle')
      if (idle) assert.equal(available, boundOf(algorithm))
      if (what === 'ask' && available >= cost) {
        const takenUs = bucket.take(numbers, offset, parameters, nowUs, cost)
        model.take(nowUs, cost, false)
        taken.push({ cost, takenUs, given: false })
      }
      if (what === 'penalty') {
        bucket.take(numbers, offset, parameters, nowUs, cost)
        model.take(nowUs, cost, true)
      }
      const given = taken[taken.length - 1 - which]
      if (what === 'refund' && given && !given.given) {
        given.given = true
        bucket.refund(numbers, offset, parameters, nowUs, given.cost, given.takenUs)
        model.refund(nowUs, taken.indexOf(given))
      }
      assert.ok(
        [...numbers.subarray(offset, -3)].every((value) => Number.isSafeInteger(value) && value >= 0),
        `whole numbers: ${numbers}`,
      )
    }
    assert.deepEqual([...numbers.subarray(0, offset), ...numbers.subarray(-3)], [7, 7, 7, 7, 7, 7])
    model.checkWindows()
  }

  test('is what the model says, in any window, and exact to the microsecond', () => {
    fc.assert(fc.property(algorithms[kind], fc.array(act, { maxLength: 60, size: 'max' }), play), {
      numRuns: 600,
    })
  })
})

test('a token bucket that never rests for a year has neither gained nor lost a unit', () => {
  // 7 in a week do not divide into microseconds.
  const bucket = tokenBucket(3, 11, 604_800_000_000)!
  const arithmetic = bucketOf(bucket)
  const numbers = new Float64Array(2)
  let nowUs = 1_750_000_000_000_000
  const beginUs = nowUs
  let taken = 0
  const take = () => {
    arithmetic.take(numbers, 0, bucket, nowUs, 1)
    taken += 1
  }
  take()
  take()
  take()
  for (; taken < 3 + 11 * 52; take()) nowUs = arithmetic.earliest(numbers, 0, bucket, nowUs, 1)
  assert.equal(nowUs - beginUs, 52 * 604_800_000_000)
})

test('counts in milliseconds where microseconds are not exact, and says when neither is', () => {
  const year = 365 * 86_400_000_000
  assert.equal(tokenBucket(10, 1, 1_000_000)!.tickUs, 1)
  assert.equal(tokenBucket(100_000, 7_001, year)!.tickUs, 1_000)
  assert.equal(tokenBucket(1_000_000, 7, year), undefined)
  assert.equal(tokenBucket(40, 1, year), undefined)
  assert.equal(tokenBucket(largestWhole, 1_000, 1)!.unit, 1)
})
