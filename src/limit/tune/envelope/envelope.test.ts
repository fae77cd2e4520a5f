import fc from 'fast-check'
import { expect, test } from 'vitest'
import { capacityAt, curveOf } from './envelope.ts'
import { EnvelopeBuilder } from './envelope-builder.ts'

type Request = readonly [time: number, cost: number]

const same = (cost: number) => cost

function envelopeOf(requests: readonly Request[]) {
  const builder = new EnvelopeBuilder()
  for (const [time, cost] of requests) builder.push(time, cost)
  return builder.finish()
}

/** Every interval, one by one: the cost in it and its duration. */
function intervalsOf(requests: readonly Request[]): Request[] {
  return requests.flatMap(([start], from) => {
    let total = 0
    return requests.slice(from).map(([time, cost]): Request => {
      total += cost
      return [time - start, total]
    })
  })
}

function bruteForce(requests: readonly Request[], ratePerSecond: number): number {
  return Math.max(
    0,
    ...intervalsOf(requests).map(([duration, cost]) => cost - (ratePerSecond * duration) / 1_000_000),
  )
}

/** Refused requests of a real bucket, full at first. */
function refused(requests: readonly Request[], ratePerSecond: number, capacity: number): number {
  let tokens = capacity
  let last = requests[0]?.[0] ?? 0
  let count = 0
  for (const [time, cost] of requests) {
    tokens = Math.min(capacity, tokens + (ratePerSecond * (time - last)) / 1_000_000)
    last = time
    if (tokens + 1e-9 < cost) count += 1
    else tokens -= cost
  }
  return count
}

const sequence = (cost: fc.Arbitrary<number>, gap: fc.Arbitrary<number>) =>
  fc.array(fc.tuple(gap, cost), { minLength: 1, maxLength: 60 }).map((steps) => {
    let time = 0
    return steps.map(([step, each]): Request => {
      time += step
      return [time, each]
    })
  })

const gaps = fc.oneof(
  fc.constant(0),
  fc.nat(10),
  fc.nat(100).map((each) => each * 1_000_000),
  fc.nat(5_000_000),
)
const wholeCosts = sequence(fc.oneof(fc.constant(1), fc.nat(9)), gaps)
/** Times and costs whose products no double holds. */
const hugeCosts = sequence(fc.nat(2 ** 40), fc.nat(2 ** 45))
const realCosts = sequence(fc.double({ min: 0, max: 100, noNaN: true }), gaps)

test('whole costs: the envelope is that of every interval, exactly, at every whole rate', () => {
  fc.assert(
    fc.property(wholeCosts, fc.array(fc.nat(20), { minLength: 1 }), (requests, rates) => {
      const envelope = envelopeOf(requests)
      for (const rate of rates) expect(capacityAt(envelope, rate)).toBe(bruteForce(requests, rate))
    }),
    { numRuns: 500 },
  )
})

test('whole costs: every point of the hull is an interval, none lies above it, and it turns strictly', () => {
  fc.assert(
    fc.property(fc.oneof(wholeCosts, hugeCosts), (requests) => {
      const { durations, costs } = envelopeOf(requests)
      const every = intervalsOf(requests)
      const key = ([duration, cost]: Request) => `${duration} ${cost}`
      const known = new Set(every.map(key))
      durations.forEach((duration, index) => {
        expect(known).toContain(key([duration, costs[index]!]))
      })
      const cross = (a: number, b: number, [x, y]: Request) =>
        BigInt(durations[b]! - durations[a]!) * BigInt(y - costs[a]!) -
        BigInt(costs[b]! - costs[a]!) * BigInt(x - durations[a]!)
      for (let index = 1; index < durations.length; index++) {
        for (const each of every)
          if (each[0] >= durations[index - 1]!) expect(cross(index - 1, index, each) <= 0n).toBe(true)
        if (index > 1) expect(cross(index - 2, index - 1, [durations[index]!, costs[index]!]) < 0n).toBe(true)
      }
      expect([durations[0], costs.at(-1)]).toEqual([0, requests.reduce((sum, [, cost]) => sum + cost, 0)])
    }),
    { numRuns: 300 },
  )
})

test('real costs: within a billionth of the total', () => {
  fc.assert(
    fc.property(realCosts, fc.double({ min: 0, max: 200, noNaN: true }), (requests, rate) => {
      const total = requests.reduce((sum, [, cost]) => sum + cost, 0)
      const found = capacityAt(envelopeOf(requests), rate)
      expect(Math.abs(found - bruteForce(requests, rate))).toBeLessThanOrEqual(total * 1e-9)
    }),
    { numRuns: 300 },
  )
})

test('a bucket of that capacity refuses nothing, and one of a token less refuses something', () => {
  fc.assert(
    fc.property(wholeCosts, fc.integer({ min: 0, max: 20 }), (requests, rate) => {
      const capacity = capacityAt(envelopeOf(requests), rate)
      expect(refused(requests, rate, capacity)).toBe(0)
      if (capacity >= 1) expect(refused(requests, rate, capacity - 1)).toBeGreaterThan(0)
    }),
    { numRuns: 300 },
  )
})

test('the vertices are the curve: it falls, bends once at each, and is straight in between', () => {
  fc.assert(
    fc.property(wholeCosts, fc.double({ min: 0, max: 1, noNaN: true }), (requests, share) => {
      const envelope = envelopeOf(requests)
      const curve = curveOf(envelope, same)
      const slopes: number[] = []
      curve.forEach((point, index) => {
        const near = (found: number, wanted: number) =>
          expect(Math.abs(found - wanted)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(wanted)))
        near(point.capacity, bruteForce(requests, point.ratePerSecond))
        const next = curve[index + 1]
        if (!next) {
          near(point.capacity, bruteForce(requests, point.ratePerSecond * 2 + 1))
          return
        }
        const rate = point.ratePerSecond + share * (next.ratePerSecond - point.ratePerSecond)
        near(point.capacity + share * (next.capacity - point.capacity), bruteForce(requests, rate))
        expect(next.ratePerSecond).toBeGreaterThan(point.ratePerSecond)
        slopes.push((next.capacity - point.capacity) / (next.ratePerSecond - point.ratePerSecond))
      })
      for (let index = 1; index < slopes.length; index++)
        expect(slopes[index]).toBeGreaterThan(slopes[index - 1]!)
    }),
    { numRuns: 300 },
  )
})

test('traffic that thins out evenly has a point for each instant, and perfectly even traffic has two', () => {
  const thinning = Array.from({ length: 1_000 }, (_, index): Request => [index * index, 1])
  expect(envelopeOf(thinning).durations.length).toBe(1_000)
  const even = Array.from({ length: 1_000 }, (_, index): Request => [index * 3_600_000_000, 1_000_000_000])
  expect(envelopeOf(even).durations).toEqual(new Float64Array([0, 999 * 3_600_000_000]))
  expect(envelopeOf([]).durations.length).toBe(0)
  expect(() =>
    envelopeOf([
      [2, 1],
      [1, 1],
    ]),
  ).toThrow(RangeError)
})
