// Where a stream begins and ends, and where it was at a time.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { pass } from '../wait.ts'
import { appended, bodies, manyRecords, readAll, records, type StreamCase, streamBench } from './bench.ts'

export const boundsCases: readonly StreamCase[] = [
  {
    id: 'stream.bounds.every-partition',
    title:
      'bounds tells for every partition the earliest record kept and the position that the next one will not be below',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      for (const { earliest, next } of await one.bounds(stream))
        assert.equal(earliest, next, 'equal when empty')
      const positions = await appended(one, stream, [...records(4, 0), ...records(2, 2)])
      const bounds = await two.bounds(stream)
      assert.deepEqual(bounds.map(({ partition }) => partition).sort(), numbers(3), 'each partition once')
      const [first, empty, third] = [...bounds].sort((a, b) => a.partition - b.partition)
      assert.equal(first!.earliest, positions[0])
      assert.equal(third!.earliest, positions[4])
      assert.ok(first!.next > positions[3]! && third!.next > positions[5]!)
      assert.equal(empty!.earliest, empty!.next, 'equal when empty')
      const later = await appended(one, stream, [...records(1, 0), ...records(1, 1), ...records(1, 2)])
      for (const [partition, bound] of [first, empty, third].entries())
        assert.ok(later[partition]! >= bound!.next, `the next record of ${partition} is not below next`)
    },
  },
  {
    id: 'stream.bounds.complete',
    title: 'who waited at the end of an empty partition is told of nothing gone, until something is',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const ends = await one.bounds(stream)
      const positions = await appended(one, stream, [...records(2, 1), ...records(4, 0)])
      const completeFrom = async (partition: number) => {
        const bounds = (await two.bounds(stream)).find((each) => each.partition === partition)!
        return bounds.completeFrom ?? bounds.earliest
      }
      for (const { partition, next } of ends)
        assert.ok((await completeFrom(partition)) <= next, `nothing is gone of partition ${partition}`)
      await two.trim(stream, [{ partition: 0, position: positions[4]! }])
      assert.equal(await completeFrom(0), positions[4], 'what is below was trimmed')
      assert.ok((await completeFrom(1)) <= positions[0]!, 'of another partition nothing is gone')
    },
  },
  {
    id: 'stream.bounds.next-skips-nothing',
    title: 'reading from next misses no record that is appended afterwards, and gives none from before',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      await appended(one, stream, records(5))
      const [bounds] = await two.bounds(stream)
      await appended(one, stream, records(3, 0, 'new'))
      const found = await two.read(stream, [{ partition: 0, position: bounds!.next }], manyRecords)
      assert.deepEqual(bodies(found), bodies(records(3, 0, 'new')))
    },
  },
  {
    id: 'stream.bounds.behind-last',
    title: 'next stands right behind the last record of its partition, however many there are in the others',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      await appended(one, stream, [...records(3, 0), ...records(2, 1)])
      await appended(one, stream, records(4, 1))
      const last = new Map<number, number>()
      for (const { partition, position } of await readAll(one, stream, 2, 9)) last.set(partition, position)
      for (const { partition, next } of await two.bounds(stream))
        assert.equal(next, last.get(partition)! + 1, `next of partition ${partition}`)
    },
  },
  {
    id: 'stream.positionsAt.first',
    title:
      'positionsAt gives for every partition the first position appended at or after the time; next where there is none',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      for (const round of numbers(4)) {
        await appended(one, stream, records(2, 0, `round${round}-`))
        await pass(15)
      }
      const found = await readAll(one, stream, 2, 8)
      const { next } = (await one.bounds(stream)).find(({ partition }) => partition === 0)!
      const dates = found.map(({ appendedAt }) => appendedAt)
      assert.ok(new Set(dates).size >= 4, 'the rounds have times of their own')
      for (const time of [0, ...dates, ...dates.map((date) => date + 1), Date.now() + 3_600_000]) {
        const expected = found.find(({ appendedAt }) => appendedAt >= time)?.position ?? next
        const positions = await two.positionsAt(stream, time)
        assert.equal(positions.length, 2)
        assert.equal(positions.find(({ partition }) => partition === 0)!.position, expected, `at ${time}`)
      }
      const empty = (await two.positionsAt(stream, 0)).find(({ partition }) => partition === 1)!
      const bounds = (await two.bounds(stream)).find(({ partition }) => partition === 1)!
      assert.equal(empty.position, bounds.next, 'next for a partition without records')
    },
  },
  {
    id: 'stream.limits',
    title: 'the limits are whole numbers that subscribers can work with',
    requires: ['stream'],
    async run(subject) {
      const { maxBodyBytes, minSessionMs } = subject.one.stream!.limits
      assert.ok(Number.isSafeInteger(maxBodyBytes) && maxBodyBytes > 0, `maxBodyBytes is ${maxBodyBytes}`)
      assert.ok(Number.isSafeInteger(minSessionMs) && minSessionMs > 0, `minSessionMs is ${minSessionMs}`)
    },
  },
]
