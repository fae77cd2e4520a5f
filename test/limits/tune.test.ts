// The tuner on a real access log, and on traffic whose answers are known.
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { limits } from '../../src/limit/limits.ts'
import { checkRules } from '../../src/limit/rule/read-rules.ts'
import { fileSource } from '../../src/limit/tune/reading/lines.ts'
import { type TuneOptions, tune } from '../../src/limit/tune/tune.ts'
import { fakeClock } from '../../src/testing/fake-clock.ts'

const log = await fileSource(join(import.meta.dirname, 'apache_access_3000.log.gz'))

interface Request {
  readonly time: number
  readonly user: string
  readonly [field: string]: unknown
}

function tuned(requests: readonly Request[], options: TuneOptions = {}) {
  const content = requests.map((each) => JSON.stringify(each)).join('\n')
  const source = { name: 'log', size: undefined, open: () => Readable.from([Buffer.from(content)]) }
  return tune([source], { key: 'user', ...options })
}

/** By a seed: the same traffic each time. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** So many users over three days; each comes a few times and makes up to ten requests at a quarter of a second. */
function population(users: number): Request[] {
  const next = chance(42)
  return Array.from({ length: users }, (_, user) => {
    const visits = 1 + Math.floor(next() * 6)
    return Array.from({ length: visits }, () => {
      const start = 1_764_000_000_000 + Math.floor(next() * 3 * 86_400_000)
      const length = 1 + Math.floor(next() * 10)
      return Array.from({ length }, (_, index) => ({ time: start + index * 250, user: `u${user}` }))
    }).flat()
  }).flat()
}

test('a real log is read to the last line, by any key', async () => {
  const byAddress = await tune([log])
  expect(byAddress).toMatchObject({
    requests: 3_000,
    keys: 586,
    brokenLines: 0,
    key: 'address',
    resolutionSeconds: 1,
    busiest: { key: '75.97.9.59', requests: 206, cost: 206 },
  })
  expect(byAddress.curve[0]).toEqual({ ratePerSecond: 0, capacity: 206 })
  expect((await tune([log], { key: 'global', cost: 'bytes' })).totalCost).toBe(495_063_329)
  expect((await tune([log], { key: 'method' })).keys).toBeLessThan(6)
  expect(await tune([log], { without: ['75.97.9.59'] })).toMatchObject({
    requests: 2_794,
    leftOut: 206,
    keys: 585,
  })
})

test('the recommendation does what it says, and larger rates and capacities refuse no more', async () => {
  const report = await tuned(population(600), { honest: 0.95, at: [1, 2] })
  const { recommendation, population: curve, refused, holdOut, rule } = report
  expect(recommendation.servedKeys).toBeGreaterThanOrEqual(0.95)
  expect(recommendation.worst.asked).toBe(
    Math.floor(recommendation.capacity + recommendation.ratePerSecond * 60),
  )
  expect(rule.rule).toEqual({
    capacity: recommendation.capacity,
    refill: recommendation.refill,
    per: recommendation.per,
    by: 'user',
    shadow: true,
  })
  expect(checkRules({ [rule.name]: rule.rule })).toHaveLength(1)
  curve.rates.forEach(({ ratePerSecond, capacities }, index) => {
    expect(capacities).toEqual(capacities.toSorted((a, b) => a - b))
    const before = curve.rates[index - 1]
    if (!before) return
    expect(ratePerSecond).toBeGreaterThan(before.ratePerSecond)
    capacities.forEach((capacity, share) => {
      expect(capacity).toBeLessThanOrEqual(before.capacities[share]!)
    })
  })
  expect(curve.rates.map(({ ratePerSecond }) => ratePerSecond)).toEqual(expect.arrayContaining([1, 2]))
  for (const each of refused)
    for (const other of refused)
      if (each.ratePerSecond >= other.ratePerSecond && each.capacity >= other.capacity)
        expect(each.requests).toBeLessThanOrEqual(other.requests)
  const chosen = refused.find(
    ({ ratePerSecond, capacity }) =>
      ratePerSecond === recommendation.ratePerSecond && capacity === recommendation.capacity,
  )
  expect(chosen!.keys).toBeCloseTo(1 - recommendation.servedKeys, 12)
  // The last third is traffic of the same kind.
  expect(holdOut!.found.requests).toBeLessThan(0.02)
  expect(holdOut!.predicted.interval[0]).toBeLessThanOrEqual(holdOut!.predicted.requests)
  expect(report.doubts).toEqual([])
  expect(report.coarse).toBe(null)
})

test('who forces the largest bucket is named, and without it the rest is solved anew', async () => {
  const base = 1_764_000_000_000
  const import_ = Array.from({ length: 500 }, (_, index) => ({
    time: base + index * 10,
    user: 'nightly import',
  }))
  const requests = [...population(300), ...import_]
  const all = await tuned(requests, { honest: 1 })
  expect(all.forcedBy[0]).toMatchObject({
    key: 'nightly import',
    served: true,
    from: new Date(base).toISOString(),
    requestsWithin: 500,
  })
  expect(all.recommendation.capacity).toBeGreaterThan(400)
  const rest = await tuned(requests, { honest: 1, without: ['nightly import'] })
  expect(rest.recommendation.capacity).toBeLessThan(30)
  expect(rest).toMatchObject({ leftOut: 500, keys: 300 })
})

test('a hold-out that fails says so', async () => {
  const requests = population(400)
  const later = 1_764_000_000_000 + 2.5 * 86_400_000
  const storm = requests.flatMap((each) =>
    each.time < later
      ? [each]
      : Array.from({ length: 20 }, (_, index) => ({ ...each, time: each.time + index })),
  )
  const { holdOut } = await tuned(storm)
  expect(holdOut!.held).toBe(false)
  expect(holdOut!.found.requests).toBeGreaterThan(0.1)
})

test('thin data, coarse stamps, refusals of the past, one large key: said', async () => {
  const requests = Array.from({ length: 60 }, (_, index) => ({
    time: 1_764_000_000 + Math.floor(index / 6) * 60,
    user: index % 3 ? 'office' : `u${index}`,
    status: index % 10 ? 200 : 429,
  }))
  const report = await tuned([...requests, { time: Number.NaN, user: 'x' }], { at: [0.05, 1] })
  expect(report.doubts.map(({ about }) => about)).toEqual([
    'keys',
    'time',
    'stamps',
    'refused',
    'lines',
    'one-key',
  ])
  expect(report).toMatchObject({ refusedThen: 6, brokenLines: 1, resolutionSeconds: 60 })
  // Four requests of the office each minute: at once, or one in a quarter of a minute.
  expect(report.coarse).toEqual([
    {
      ratePerSecond: 0.05,
      atLeast: 10,
      evenlySpread: expect.closeTo(40 - 0.05 * 585, 9),
      atOnce: 13,
      atMost: 16,
    },
    { ratePerSecond: 1, atLeast: 1, evenlySpread: 1, atOnce: 4, atMost: 64 },
  ])
  expect(report.at.map(({ capacity }) => capacity)).toEqual([13, 4])
})

test('decimals are computed without rounding, and the rule counts in parts', async () => {
  const requests = Array.from({ length: 10 }, (_, index) => ({
    time: 100 + index * 0.5,
    user: 'a',
    cost: 0.1,
  }))
  const { curve, totalCost, rule } = await tuned(requests, { key: 'global' })
  expect(curve).toEqual([
    { ratePerSecond: 0, capacity: 1 },
    { ratePerSecond: 0.2, capacity: 0.1 },
  ])
  expect(totalCost).toBeCloseTo(1, 12)
  expect(rule).toMatchObject({ costParts: 10 })
  expect(rule.rule.by).toBe(undefined)
  await expect(tuned([{ time: 1, user: 'a', cost: 0 }])).rejects.toThrow(/All 1 requests cost 0/)
})

test('real costs: the rule counts in millionths and says so, and what is tried is as fine as the costs', async () => {
  const requests = Array.from({ length: 40 }, (_, index) => ({
    time: 100 + Math.floor(index / 8) * 10,
    user: 'a',
    cost: 0.1 + index / 7e7,
  }))
  const report = await tuned(requests, { key: 'global' })
  const { capacity, refill, per, by } = report.rule.rule
  expect([report.rule.costParts, by]).toEqual([1_000_000, undefined])
  expect(report.doubts.map(({ text }) => text)).toContainEqual(expect.stringMatching(/in millionths/))
  const clock = fakeClock()
  const bounds = limits({ rules: { tuned: { capacity, refill, per } }, clock })
  let now = requests[0]!.time
  for (const { time, cost } of requests) {
    await clock.advance((time - now) * 1_000)
    now = time
    expect(bounds.decide({ cost: Math.ceil(cost * 1_000_000) }).allowed).toBe(true)
  }
  const some = report.refused.filter(({ requests: share }) => share > 0)
  expect(some.length).toBeGreaterThan(0)
  expect(report.refused.map((each) => each.capacity)).toContain(report.recommendation.capacity)
})

test('one request alone, or all at one instant, is an answer too', async () => {
  const one = await tuned([{ time: 5, user: 'a', cost: 3 }])
  expect(one).toMatchObject({ curve: [{ ratePerSecond: 0, capacity: 3 }], holdOut: null, spanSeconds: 0 })
  expect(one.recommendation.capacity).toBe(3)
  const huge = await tuned([{ time: 5, user: 'a', cost: 1e13 }])
  expect(huge.doubts.map(({ about }) => about)).toContain('rule')
  const many = await tuned(Array.from({ length: 7 }, () => ({ time: 5, user: 'a' })))
  expect(many.recommendation.capacity).toBe(7)
})
