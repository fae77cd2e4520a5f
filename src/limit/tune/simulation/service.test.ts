// What all keys send together, and who is told from whom, against programs that look at every request anew.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Columns } from '../gathering/columns.ts'
import { LargestKeys } from '../population/largest.ts'
import { bestOf, Separation } from './separation.ts'
import { Service } from './service.ts'

type Request = readonly [key: string, time: number, cost: number]

const someRequests = fc
  .array(
    fc.tuple(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.nat(40).map((tenth) => tenth * 100_000),
      fc.nat(3),
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((requests): Request[] => requests.map(([key, time, cost]) => [key, 7_000_000_000 + time, cost]))

function ordered(requests: readonly Request[]) {
  const columns = new Columns()
  for (const [key, time, cost] of requests) columns.add(key, time, cost)
  return columns.take(false)
}

/** Whether each is let through by a bucket of its key's own. */
function admitted(
  requests: readonly Request[],
  rate: number,
  capacity: number,
): (readonly [Request, boolean])[] {
  const levels = new Map<string, { level: number; last: number }>()
  return requests
    .toSorted((a, b) => a[1] - b[1])
    .map((request) => {
      const [key, time, cost] = request
      const { level, last } = levels.get(key) ?? { level: 0, last: time }
      const left = Math.max(0, level - ((time - last) * rate) / 1e6)
      const fits = left + cost <= capacity + 1e-6
      levels.set(key, { level: fits ? left + cost : left, last: time })
      return [request, fits] as const
    })
}

test('the worst second and minute of all keys together', () => {
  fc.assert(
    fc.property(
      someRequests,
      fc.constantFrom(1, 60),
      fc.nat(3),
      fc.integer({ min: 1, max: 6 }),
      (requests, seconds, rate, capacity) => {
        const times = requests.map(([, time]) => time)
        const turn = seconds * 1_000_000
        const service = Service.of(turn, Math.min(...times), Math.max(...times), { rate, capacity })!
        ordered(requests).each(service)
        const passed = admitted(requests, rate, capacity)
        const turns = Object.values(Object.groupBy(passed, ([[, time]]) => `${Math.floor(time / turn)}`)).map(
          (all) => all!,
        )
        const sum = (all: readonly (readonly [Request, boolean])[]) =>
          all.reduce((total, [[, , cost]]) => total + cost, 0)
        expect(service.peak).toEqual({
          keys: Math.max(...turns.map((all) => new Set(all.map(([[key]]) => key)).size)),
          asked: Math.max(...turns.map(sum)),
          admitted: Math.max(...turns.map((all) => sum(all.filter(([, fits]) => fits)))),
        })
      },
    ),
  )
})

test('a log of too many turns is not looked at in these', () => {
  const bucket = { rate: 1, capacity: 1 }
  expect(Service.of(1_000_000, 0, 5e12, bucket)).toBeUndefined()
  expect(Service.of(60_000_000, 0, 5e12, bucket)).toBeDefined()
})

test('what is refused to the honest, and let through to the abusive', () => {
  fc.assert(
    fc.property(
      someRequests,
      fc.subarray(['a', 'b', 'c', 'd']),
      fc.nat(3),
      fc.integer({ min: 1, max: 6 }),
      (requests, abusive, rate, capacity) => {
        const separation = new Separation([{ rate, capacity }], new Set(abusive))
        ordered(requests).each(separation)
        const passed = admitted(requests, rate, capacity)
        const isAbusive = ([[key]]: readonly [Request, boolean]) => abusive.includes(key)
        const toHonest = passed.filter((each) => !isAbusive(each))
        const toAbusive = passed.filter(isAbusive)
        const refused = toHonest.filter(([, fits]) => !fits)
        const keys = (all: typeof passed) => new Set(all.map(([[key]]) => key)).size
        const { honestRefused, honestKeysRefused, abusiveAdmitted } = separation.of(0)
        expect(honestRefused).toBeCloseTo(refused.length / Math.max(1, toHonest.length), 9)
        expect(honestKeysRefused).toBeCloseTo(keys(refused) / Math.max(1, keys(toHonest)), 9)
        expect(abusiveAdmitted).toBeCloseTo(
          1 - toAbusive.filter(([, fits]) => !fits).length / Math.max(1, toAbusive.length),
          9,
        )
        expect([separation.honestKeys, separation.abusiveKeys]).toEqual([keys(toHonest), keys(toAbusive)])
      },
    ),
  )
})

test('of many buckets those stay that no other beats in both', () => {
  const point = fc.record({
    honestRefused: fc.nat(5),
    abusiveAdmitted: fc.nat(5),
    honestKeysRefused: fc.constant(0),
  })
  fc.assert(
    fc.property(fc.array(point), (points) => {
      const best = bestOf(points)
      for (const each of points)
        expect(
          best.some(
            (one) => one.honestRefused <= each.honestRefused && one.abusiveAdmitted <= each.abusiveAdmitted,
          ),
        ).toBe(true)
      for (const one of best)
        for (const other of best)
          if (one !== other)
            expect(
              other.honestRefused <= one.honestRefused && other.abusiveAdmitted <= one.abusiveAdmitted,
            ).toBe(false)
    }),
  )
})

test('the keys with the most cost, in whatever order they come', () => {
  const largest = new LargestKeys(2)
  const requests = Array.from({ length: 3_000 }, (_, key): Request => [`k${key}`, 1, (key * 7) % 3_000])
  ordered(requests).each(largest)
  expect([...largest.keys].sort()).toEqual(
    requests
      .toSorted((a, b) => b[2] - a[2])
      .slice(0, 2)
      .map(([key]) => key)
      .sort(),
  )
})
