// Trimming: what is below goes, what is at or above stays, and everything goes on as if nothing were gone.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { numbers } from '../sample.ts'
import { soonMs, within } from '../wait.ts'
import {
  appended,
  bodies,
  Cursor,
  manyRecords,
  records,
  type StreamCase,
  starts,
  streamBench,
} from './bench.ts'

export const trimCases: readonly StreamCase[] = [
  {
    id: 'stream.trim.below',
    title: 'trim takes what is below the position from every reader, and nothing else',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const positions = await appended(one, stream, [...records(6), ...records(2, 1, 'other')])
      await one.trim(stream, [{ partition: 0, position: positions[4]! }])
      for (const port of [one, two]) {
        const bounds = await port.bounds(stream)
        assert.equal(bounds.find(({ partition }) => partition === 0)!.earliest, positions[4])
        assert.equal(bounds.find(({ partition }) => partition === 1)!.earliest, positions[6])
        const found = await new Cursor(port, stream, starts(2)).take(4)
        assert.deepEqual(bodies(found).sort(), ['"other0"', '"other1"', '"r4"', '"r5"'])
      }
    },
  },
  {
    id: 'stream.trim.reads-from-earliest',
    title: 'a position below the earliest that is kept reads from the earliest',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const positions = await appended(one, stream, records(6))
      const behind = new Cursor(two, stream, [{ partition: 0, position: positions[1]! }])
      await one.trim(stream, [{ partition: 0, position: positions[4]! }])
      assert.deepEqual(bodies(await behind.take(2)), ['"r4"', '"r5"'])
      await appended(one, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await new Cursor(one, stream, starts(1)).take(3)), ['"r4"', '"r5"', '"later0"'])
    },
  },
  {
    id: 'stream.trim.everything',
    title: 'a position above the end stands for the end; positions go on where they were',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const positions = await appended(one, stream, [...records(5), ...records(5, 1), ...records(5)])
      const above = positions.at(-1)! + 1_000_000
      const ends = (await one.bounds(stream)).map(({ next }) => next)
      await two.trim(
        stream,
        numbers(2).map((partition) => ({ partition, position: above })),
      )
      const bounds = await one.bounds(stream)
      for (const { partition, earliest, next } of bounds) {
        assert.equal(earliest, next, `nothing is left of partition ${partition}`)
        assert.ok(next >= ends[partition]!, `the end is where it was, not at ${next}`)
      }
      const later = await appended(one, stream, records(2, 0, 'later'))
      assert.ok(later[0]! > positions[14]!, `${later[0]} comes after ${positions[14]}`)
      assert.ok(later[0]! >= bounds[0]!.next, `${later[0]} is not below the end, ${bounds[0]!.next}`)
      assert.deepEqual(bodies(await new Cursor(two, stream, starts(2)).take(2)), ['"later0"', '"later1"'])
      const times = await two.positionsAt(stream, 0)
      assert.equal(times.find(({ partition }) => partition === 0)!.position, later[0])
    },
  },
  {
    id: 'stream.trim.caught-up',
    title:
      'who had come to the end of a partition is told of nothing gone, whatever was trimmed meanwhile, here or in others',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      const boundsOf = async () => (await two.bounds(stream)).sort((a, b) => a.partition - b.partition)
      const isTold = async (ends: readonly number[], when: string) => {
        for (const { partition, earliest, completeFrom = earliest } of await boundsOf())
          assert.ok(completeFrom <= ends[partition]!, `of ${partition}, ${when}`)
      }
      const trimAll = async (partitions: readonly number[]) => {
        const bounds = (await boundsOf()).filter(({ partition }) => partitions.includes(partition))
        await one.trim(
          stream,
          bounds.map(({ partition, next }) => ({ partition, position: next })),
        )
      }
      await appended(one, stream, [...records(3, 0), ...records(2, 1)])
      await appended(one, stream, records(1, 0))
      await appended(one, stream, records(1, 1))
      const ends = (await boundsOf()).map(({ next }) => next)
      await trimAll([0, 1])
      await isTold(ends, 'when all was trimmed')
      await appended(one, stream, records(2, 1))
      await trimAll([1])
      const [again] = await appended(one, stream, records(1, 0))
      await isTold([ends[0]!, Number.POSITIVE_INFINITY, ends[2]!], 'when another one was trimmed again')
      await appended(two, stream, [...records(1, 2), ...records(1, 1)])
      await isTold([ends[0]!, Number.POSITIVE_INFINITY, ends[2]!], 'when there is something new')
      await trimAll([0, 1])
      assert.ok((await boundsOf())[0]!.earliest > again!, 'and what was trimmed unread')
      const [, , third] = await boundsOf()
      assert.ok((third!.completeFrom ?? third!.earliest) <= ends[2]!, 'is none of another partition')
      const first = (await boundsOf())[0]!
      assert.ok((first.completeFrom ?? first.earliest) > again!, 'is told of')
    },
  },
  {
    id: 'stream.trim.again',
    title: 'a position at or below the earliest changes nothing',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const positions = await appended(one, stream, records(6))
      for (const place of [3, 3, 1, 0])
        await (place % 2 ? one : two).trim(stream, [{ partition: 0, position: positions[place]! }])
      await one.trim(stream, [])
      assert.deepEqual(bodies(await new Cursor(two, stream, starts(1)).take(3)), bodies(records(6)).slice(3))
    },
  },
  {
    id: 'stream.trim.much',
    title: 'many records are trimmed to the exact one while others are appended',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const positions: number[] = []
      for (const round of numbers(6))
        positions.push(...(await appended(one, stream, records(1_000, 0, `${round}-`))))
      const trimmed = one.trim(stream, [{ partition: 0, position: positions[5_555]! }])
      for (const round of numbers(5))
        positions.push(...(await appended(two, stream, records(1, 0, `n${round}-`))))
      await within(10 * soonMs, 'the trim', trimmed)
      const found = await new Cursor(two, stream, starts(1)).take(450)
      assert.deepEqual(
        found.map(({ position }) => position),
        positions.slice(5_555),
      )
    },
  },
  {
    id: 'stream.trim.waiting',
    title: 'a read that waits goes on waiting, and gets what is appended after the trim',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const positions = await appended(one, stream, records(3))
      const end = [{ partition: 0, position: positions[2]! + 1 }]
      const waiting = two.read(stream, end, { ...manyRecords, waitMs: 4 * soonMs })
      await one.trim(stream, end)
      await appended(one, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await within(4 * soonMs, 'the waiting read', waiting)), ['"later0"'])
    },
  },
  {
    id: 'stream.trim.versions',
    title: 'versions go on counting after a trim; readKey gives what is left of a key, with its numbers',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      const of = (key: string, count: number) => numbers(count).map(() => ({ partition: 0, key, body: '{}' }))
      const positions = await appended(one, stream, [...of('a', 4), ...of('b', 2), ...of('a', 4)])
      await one.trim(stream, [{ partition: 0, position: positions[7]! }])
      const versions = async (key: string, fromVersion: number, limit: number) =>
        (await two.readKey(stream, key, { fromVersion, limit })).map(({ version }) => version)
      assert.deepEqual(await versions('a', 1, 2), [6, 7])
      assert.deepEqual(await versions('a', 8, 2), [8])
      assert.deepEqual(await versions('b', 1, 10), [])
      for (const [key, version] of [
        ['a', 8],
        ['b', 2],
      ] as const) {
        const stale = await two.append(stream, [{ partition: 0, key, body: '{}', expectedVersion: 0 }])
        assert.deepEqual(stale, { status: 'conflict', index: 0, version })
        await appended(two, stream, [{ partition: 0, key, body: '{}', expectedVersion: version }])
      }
      await two.trim(stream, [{ partition: 0, position: positions[9]! + 1_000 }])
      assert.deepEqual(await versions('a', 1, 10), [])
      await appended(one, stream, [{ partition: 0, key: 'a', body: '{}', expectedVersion: 9 }])
      assert.deepEqual(await versions('a', 1, 10), [10])
    },
  },
  {
    id: 'stream.trim.versions-elsewhere',
    title:
      'a key that stands in several partitions counts on from its highest version, also when that is gone',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2, versions: true })
      await appended(one, stream, [{ partition: 0, key: 'a', body: '1' }])
      const [, end] = await appended(one, stream, [
        { partition: 1, key: 'a', body: '2' },
        { partition: 1, key: 'a', body: '3' },
      ])
      await two.trim(stream, [{ partition: 1, position: end! + 1 }])
      const stale = await one.append(stream, [{ partition: 1, key: 'a', body: '-', expectedVersion: 1 }])
      assert.deepEqual(stale, { status: 'conflict', index: 0, version: 3 })
      await appended(two, stream, [{ partition: 0, key: 'a', body: '4', expectedVersion: 3 }])
      const left = await one.readKey(stream, 'a', { fromVersion: 1, limit: 10 })
      assert.deepEqual(
        left.map(({ version, body }) => [version, body]),
        [
          [1, '1'],
          [4, '4'],
        ],
      )
    },
  },
  {
    id: 'stream.trim.numbers',
    title:
      'a partition that does not exist and a position that is none are refused before anything goes: INVALID_OPTION',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const positions = await appended(one, stream, records(3))
      const good = { partition: 0, position: positions[2]! }
      for (const wrong of [
        { partition: 2, position: 1 },
        { partition: -1, position: 1 },
        { partition: 1, position: -1 },
        { partition: 1, position: 0.5 },
        { partition: 1, position: Number.NaN },
      ])
        await refused('INVALID_OPTION', () => one.trim(stream, [good, wrong]), JSON.stringify(wrong))
      await refused('UNKNOWN_STREAM', () => one.trim(`${stream}-not`, []), 'an unknown stream')
      assert.deepEqual(bodies(await new Cursor(two, stream, starts(1)).take(3)), bodies(records(3)))
    },
  },
]
