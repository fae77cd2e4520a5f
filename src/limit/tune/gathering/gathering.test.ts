import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Gathering, type GatheringBounds } from './gathering.ts'
import type { Requests } from './requests.ts'

type Request = readonly [key: string, time: number, cost: number]

function gathered(requests: readonly Request[], bounds?: GatheringBounds) {
  using gathering = new Gathering(bounds)
  for (const [key, time, cost] of requests) gathering.add(key, time, cost)
  using found = gathering.finish()
  return contents(found)
}

function contents(found: Requests): Map<string, [number, number][]> {
  const all = new Map<string, [number, number][]>()
  let current: [number, number][] = []
  let promised = 0
  found.each({
    begin(key, count) {
      expect(all.has(key)).toBe(false)
      current = []
      promised = count
      all.set(key, current)
    },
    some(times, costs, from, to) {
      for (let index = from; index < to; index++) current.push([times[index]!, costs[index]!])
    },
    end() {
      expect(current.length).toBe(promised)
    },
  })
  expect(found.keys).toBe(all.size)
  return all
}

/** Stable by time: costs tell the order of the log. */
function wanted(requests: readonly Request[]) {
  const all = new Map<string, [number, number][]>()
  for (const [key, time, cost] of requests) {
    const list = all.get(key) ?? []
    all.set(key, list)
    list.push([time, cost])
  }
  for (const list of all.values()) list.sort(([a], [b]) => a - b)
  return all
}

const names = fc.oneof(
  fc.constantFrom('a', 'b', 'c'),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
  fc.constantFrom('\u{1f600}', '\uffee', ''),
)
const log = fc
  .array(fc.tuple(names, fc.oneof(fc.nat(5), fc.nat(1_000))), { maxLength: 120 })
  .map((lines) => lines.map(([key, time], cost): Request => [key, time, cost]))

test.each([
  ['in memory', undefined],
  ['in files of seven', { requests: 7, keyBytes: 10_000, runs: 1_000 }],
  ['in files that are merged three at a time', { requests: 4, keyBytes: 10_000, runs: 3 }],
  ['in files bounded by what keys take', { requests: 1_000, keyBytes: 90, runs: 5 }],
])('%s every request is found again, by key and in order of time', (_, bounds) => {
  fc.assert(
    fc.property(log, (requests) => {
      const found = gathered(requests, bounds)
      expect(new Map([...found].sort())).toEqual(new Map([...wanted(requests)].sort()))
    }),
    { numRuns: 60 },
  )
})

test('a key with more requests than are read at once, from runs that overlap', () => {
  const requests = Array.from(
    { length: 40_000 },
    (_, index): Request => [index % 5 ? 'busy' : `k${index}`, (index * 7_919) % 40_000, index],
  )
  const bounds = { requests: 11_000, keyBytes: 10_000_000, runs: 64 }
  expect(gathered(requests, bounds)).toEqual(
    new Map([...wanted(requests)].sort(([a], [b]) => (a < b ? -1 : 1))),
  )
})

test('where no temporary file can be made it says so, and what to do', () => {
  vi.stubEnv('TMPDIR', '/nowhere/at/all')
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(() => gathered([['a', 1, 1]], { requests: 1, keyBytes: 100, runs: 2 })).toThrow(
    expect.objectContaining({ code: 'STORE_FULL', message: expect.stringMatching(/TMPDIR/) }),
  )
})
