import { expect, test } from 'vitest'
import { goals, type Row, ratiosOf } from './goals.ts'
import { systems } from './systems/index.ts'
import { unitOf, type Work, work, works } from './workloads/names.ts'

function row(name: Work, system: string, median: number): Row {
  return { work: name, system, durability: '', median, min: median, max: median, unit: unitOf(name) }
}

test('a ratio is taken against the best of the systems named, and is met or not', () => {
  const peers = [row(work.consume, 'pg-boss', 100), row(work.consume, 'graphile-worker', 300)]
  const at = (own: number) =>
    ratiosOf('queue', [row(work.consume, 'spillway-sqlite', own), ...peers]).find(
      ({ system }) => system === 'spillway-sqlite',
    )
  expect(at(600)).toMatchObject({ against: 'graphile-worker', ratio: 2, goal: '>= 2', met: true })
  expect(at(599)).toMatchObject({ against: 'graphile-worker', met: false })
})

test('a bound on a time is met below it', () => {
  const at = (ms: number) => ratiosOf('queue', [row(work.p99, 'spillway-sqlite', ms)])[0]
  expect(at(4)).toMatchObject({ against: '5 ms', ratio: 0.8, goal: '< 1', met: true })
  expect(at(5)).toMatchObject({ met: false })
})

test('of times the least is the best, and a ratio of them is met up to its bound', () => {
  const against = (own: number, opossum: number) =>
    ratiosOf('call', [
      row(work.immediate, 'spillway-call', own),
      row(work.immediate, 'opossum', opossum),
    ]).find((ratio) => ratio.against === 'opossum')
  expect(against(0.4, 1.6)).toMatchObject({ ratio: 0.25, goal: '<= 1', met: true })
  expect(against(1.7, 1.6)).toMatchObject({ goal: '<= 1', met: false })
})

test('what was not measured has no ratio', () => {
  expect(ratiosOf('queue', [])).toEqual([])
  expect(ratiosOf('queue', [row(work.consume, 'spillway-sqlite', 600)])).toEqual([])
  expect(
    ratiosOf('stream', [row(work.consume, 'spillway-sqlite', 600), row(work.consume, 'pg-boss', 1)]),
  ).toEqual([])
})

test('every goal names works and systems that exist', () => {
  for (const { kind, work: name, system, against = [] } of goals) {
    expect(works[kind]).toContain(name)
    for (const each of [system, ...against])
      expect(systems.some((entry) => entry.name === each && entry[kind] !== undefined)).toBe(true)
  }
})
