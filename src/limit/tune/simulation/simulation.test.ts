import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Columns } from '../gathering/columns.ts'
import { type Requests, together } from '../gathering/requests.ts'
import { Evenly } from '../population/evenly.ts'
import { Needs } from '../population/needs.ts'
import { Buckets } from './buckets.ts'
import { Deferral } from './deferral.ts'
import { Delays } from './delays.ts'
import { ForcingKeys } from './forcing.ts'

type Request = readonly [key: string, time: number, cost: number]

const second = 1_000_000

function ordered(requests: readonly Request[]): Requests {
  const columns = new Columns()
  for (const [key, time, cost] of requests) columns.add(key, time, cost)
  return columns.take(false)
}

/** The same requests, handed on three at a time, as from a file. */
function inPieces(requests: Requests): Requests {
  return {
    keys: requests.keys,
    each: (visitor) =>
      requests.each({
        begin: (key, count) => visitor.begin(key, count),
        some(times, costs, from, to) {
          for (let at = from; at < to; at += 3) {
            const end = Math.min(to, at + 3)
            visitor.some(times.slice(at, end), costs.slice(at, end), 0, end - at)
          }
        },
        end: () => visitor.end(),
      }),
    [Symbol.dispose]() {},
  }
}

function byKey(requests: readonly Request[]): Map<string, Request[]> {
  const found = new Map<string, Request[]>()
  for (const each of requests) found.set(each[0], [...(found.get(each[0]) ?? []), each])
  for (const list of found.values()) list.sort((a, b) => a[1] - b[1])
  return found
}

/** By every interval. */
function needOf(requests: readonly Request[], rate: number): number {
  let most = 0
  requests.forEach(([, start], from) => {
    let total = 0
    for (const [, time, cost] of requests.slice(from)) {
      total += cost
      most = Math.max(most, total - (rate * (time - start)) / second)
    }
  })
  return most
}

function refusals(requests: readonly Request[], rate: number, capacity: number): number {
  let tokens = capacity
  let last = requests[0]?.[1] ?? 0
  return requests.filter(([, time, cost]) => {
    tokens = Math.min(capacity, tokens + (rate * (time - last)) / second)
    last = time
    if (tokens + 1e-9 < cost) return true
    tokens -= cost
    return false
  }).length
}

const log = fc.array(
  fc.tuple(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.nat(60).map((each) => each * 500_000),
    fc.nat(4),
  ),
  { minLength: 1, maxLength: 80 },
)
const rates = [0.25, 1, 2, 8]

test('what keys need is what every interval says, also of a part of the time and in pieces', () => {
  fc.assert(
    fc.property(log, fc.nat(30), fc.constantFrom(0.5, 0.9, 1), (requests, before, share) => {
      const until = before * second
      const all = new Needs({ rates, steps: 1 })
      const part = new Needs({ rates, steps: 1, before: until })
      inPieces(ordered(requests)).each(together(all, part))
      const expected = (chosen: readonly Request[], rate: number) => {
        const needs = [...byKey(chosen).values()].map((each) =>
          Math.max(0, Math.ceil(needOf(each, rate) - 1e-9)),
        )
        return needs.sort((a, b) => a - b)[Math.ceil(share * needs.length - 1e-9) - 1] ?? 0
      }
      rates.forEach((rate, place) => {
        expect(all.enoughFor(place, share)).toBe(expected(requests, rate))
        expect(part.enoughFor(place, share)).toBe(
          expected(
            requests.filter(([, time]) => time < until),
            rate,
          ),
        )
      })
    }),
    { numRuns: 200 },
  )
})

test('buckets refuse what a bucket refuses, in any part of the time', () => {
  fc.assert(
    fc.property(log, fc.nat(30), fc.nat(6), (requests, split, capacity) => {
      const at = split * second
      const buckets = rates.map((rate) => ({ rate, capacity }))
      const before = new Buckets({ buckets, before: at })
      const after = new Buckets({ buckets, from: at })
      inPieces(ordered(requests)).each(together(before, after))
      for (const [found, chosen] of [
        [before, requests.filter(([, time]) => time < at)],
        [after, requests.filter(([, time]) => time >= at)],
      ] as const) {
        const lists = [...byKey(chosen).values()]
        expect([found.requests, found.keys]).toEqual([chosen.length, lists.length])
        rates.forEach((rate, place) => {
          const each = lists.map((list) => refusals(list, rate, capacity))
          expect(found.outcomes[place]).toEqual({
            refused: each.reduce((sum, count) => sum + count, 0),
            refusedKeys: each.filter((count) => count > 0).length,
          })
        })
      }
    }),
    { numRuns: 200 },
  )
})

test('what needs say is what buckets do: nobody is refused at the need of all, somebody at one less', () => {
  fc.assert(
    fc.property(log, fc.constantFrom(...rates), (requests, rate) => {
      const needs = new Needs({ rates: [rate], steps: 1 })
      ordered(requests).each(needs)
      const capacity = needs.enoughFor(0, 1)
      const buckets = new Buckets({
        buckets: [capacity, capacity - 1].map((each) => ({ rate, capacity: each })),
      })
      ordered(requests).each(buckets)
      expect(buckets.outcomes[0]!.refused).toBe(0)
      if (capacity > 0) expect(buckets.outcomes[1]!.refused).toBeGreaterThan(0)
    }),
  )
})

test('the forcing keys are those with the largest needs, and their intervals say so', () => {
  fc.assert(
    fc.property(log, fc.constantFrom(...rates), (requests, rate) => {
      const forcing = new ForcingKeys(rate)
      inPieces(ordered(requests)).each(forcing)
      const lists = byKey(requests)
      expect(forcing.found.length).toBe(lists.size)
      let before = Number.POSITIVE_INFINITY
      for (const { key, need, from, to, costWithin, requestsWithin, requests: count } of forcing.found) {
        expect(need).toBeLessThanOrEqual(before)
        before = need
        const list = lists.get(key)!
        expect(count).toBe(list.length)
        expect(need).toBeCloseTo(needOf(list, rate), 9)
        expect(costWithin - (rate * (to - from)) / second).toBeCloseTo(need, 9)
        // Of the last instant those that came before the peak.
        const within = list.filter(([, time]) => time >= from && time <= to)
        expect(requestsWithin).toBeLessThanOrEqual(within.length)
      }
    }),
  )
})

test('who waits, waits until its tokens are there', () => {
  // A bucket of 2, one token a second: of five at once three wait, for 1, 2 and 3 seconds; a sixth, 2 s later, for 2.
  const requests = [...Array.from({ length: 5 }, (): Request => ['a', 0, 1]), ['a', 2 * second, 1] as const]
  const deferral = new Deferral(1, [2, 4, 5])
  ordered(requests).each(deferral)
  expect(deferral.delays.map(({ count, longest }) => [count, longest / second])).toEqual([
    [4, 3],
    [1, 1],
    [0, 0],
  ])
  expect([...deferral.depths]).toEqual([3, 1, 0])
  expect(deferral.delays[0]!.within(0.5) / second).toBeCloseTo(2, 1)
})

test('delays are told within two per cent, and the longest exactly', () => {
  const delays = new Delays()
  for (let each = 1; each <= 10_000; each++) delays.add(each * 37)
  for (const share of [0.01, 0.5, 0.99]) {
    const ratio = delays.within(share) / (share * 370_000)
    expect(ratio).toBeGreaterThanOrEqual(1)
    expect(ratio).toBeLessThan(1.025)
  }
  expect([delays.within(1), delays.longest]).toEqual([370_000, 370_000])
  expect(new Delays().within(0.5)).toBe(0)
})

test('requests of one stamp are spread over it, those of others left where they are', () => {
  const found: [string, number, number][] = []
  let key = ''
  const spread = new Evenly(
    {
      begin(name) {
        key = name
      },
      some(times, costs, from, to) {
        for (let at = from; at < to; at++) found.push([key, times[at]! / second, costs[at]!])
      },
      end() {},
    },
    second,
  )
  inPieces(
    ordered([
      ['a', 0, 1],
      ['a', 0, 2],
      ['a', 0, 3],
      ['a', 0, 4],
      ['a', 5 * second, 5],
      ['b', 5 * second, 6],
    ]),
  ).each(spread)
  expect(found).toEqual([
    ['a', 0, 1],
    ['a', 0.25, 2],
    ['a', 0.5, 3],
    ['a', 0.75, 4],
    ['a', 5, 5],
    ['b', 5, 6],
  ])
})
