// Reading: from a position, as much as asked for, waiting as long as asked for.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { notBefore, pass, soonMs, timed, within } from '../wait.ts'
import {
  appended,
  bodies,
  Cursor,
  inPartition,
  lookOnce,
  manyRecords,
  records,
  type StreamCase,
  starts,
  streamBench,
} from './bench.ts'

const patientMs = 4 * soonMs

export const readCases: readonly StreamCase[] = [
  {
    id: 'stream.read.at-or-after',
    title: 'read gives the records at or after the position; reading takes nothing away',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const positions = await appended(one, stream, records(6))
      for (const [index, position] of positions.entries())
        for (const port of [one, two]) {
          const found = await port.read(stream, [{ partition: 0, position }], manyRecords)
          assert.deepEqual(bodies(found), bodies(records(6)).slice(index))
        }
    },
  },
  {
    id: 'stream.read.partitions',
    title:
      'read gives records of the partitions that were asked for, each from its own position, and of no other',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 4 })
      const positions = await appended(
        one,
        stream,
        numbers(4).flatMap((partition) => records(3, partition, `p${partition}-`)),
      )
      const cursor = new Cursor(two, stream, [
        { partition: 3, position: positions[10]! },
        { partition: 1, position: 0 },
      ])
      const found = await cursor.take(5)
      assert.deepEqual(bodies(inPartition(found, 3)), ['"p3-1"', '"p3-2"'])
      assert.deepEqual(bodies(inPartition(found, 1)), ['"p1-0"', '"p1-1"', '"p1-2"'])
    },
  },
  {
    id: 'stream.read.max-records',
    title: 'never more than maxRecords; reading on leaves nothing out',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      await appended(one, stream, [...records(25, 0, 'a'), ...records(25, 1, 'b')])
      const cursor = new Cursor(two, stream, starts(2))
      const found = []
      while (found.length < 50) {
        const batch = await cursor.read({ maxRecords: 7 })
        assert.ok(batch.length >= 1 && batch.length <= 7, `${batch.length} of at most 7`)
        found.push(...batch)
      }
      assert.deepEqual(bodies(inPartition(found, 0)), bodies(records(25, 0, 'a')))
      assert.deepEqual(bodies(inPartition(found, 1)), bodies(records(25, 1, 'b')))
    },
  },
  {
    id: 'stream.read.max-bytes',
    title: 'never more than maxBytes of bodies, but always at least one record, however large',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const sizes = [100, 100, 5_000, 100, 3_000, 3_000, 100, 9_000]
      const list = sizes.map((size, index) => ({ partition: 0, body: `"${index}${'é'.repeat(size / 2)}"` }))
      await appended(one, stream, list)
      const cursor = new Cursor(two, stream, starts(1))
      const found: string[] = []
      while (found.length < list.length) {
        const batch = bodies(await cursor.read({ maxBytes: 1_000 }))
        assert.notEqual(batch.length, 0, 'always at least one')
        const bytes = batch.reduce((sum, body) => sum + Buffer.byteLength(body), 0)
        assert.ok(batch.length === 1 || bytes <= 1_000, `${batch.length} records with ${bytes} bytes`)
        found.push(...batch)
      }
      assert.deepEqual(found, bodies(list))
    },
  },
  {
    id: 'stream.read.waits',
    title: 'read resolves with an empty array after waitMs, and not before; waitMs 0 looks once',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const empty = await timed(() => one.read(stream, starts(2), { ...manyRecords, waitMs: 300 }))
      assert.deepEqual(empty.value, [])
      notBefore(empty.ms, 300, 'resolved')
      assert.ok(empty.ms < 300 + soonMs)
      const once = await timed(() => one.read(stream, starts(2), lookOnce))
      assert.deepEqual(once.value, [])
      assert.ok(once.ms < soonMs)
      await appended(two, stream, records(1))
      const found = await one.read(stream, starts(2), lookOnce)
      assert.deepEqual(bodies(found), ['"r0"'], 'what was appended before is found by looking once')
    },
  },
  {
    id: 'stream.read.nothing-asked',
    title: 'a read of no positions waits, and resolves with nothing',
    requires: ['stream'],
    async run(subject) {
      const { stream, one } = await streamBench(subject, { partitions: 1 })
      await appended(one, stream, records(1))
      const { value, ms } = await timed(() => one.read(stream, [], { ...manyRecords, waitMs: 250 }))
      assert.deepEqual(value, [])
      notBefore(ms, 250, 'resolved')
    },
  },
  {
    id: 'stream.read.with-what-there-is',
    title: 'read resolves as soon as there is at least one record, with what there is',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      await appended(one, stream, records(3, 1))
      const { value, ms } = await timed(() =>
        two.read(stream, starts(2), { ...manyRecords, waitMs: patientMs }),
      )
      assert.deepEqual(bodies(value), bodies(records(3, 1)))
      assert.ok(ms < soonMs, `it took ${ms} ms`)
    },
  },
  {
    id: 'stream.read.wakes',
    title:
      'a waiting read resolves as soon as a record is appended to any of its partitions, by its own process or another',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 4 })
      const cursor = new Cursor(one, stream, starts(4))
      for (const [round, port] of [one, two, two].entries()) {
        const waiting = cursor.read({ waitMs: patientMs })
        await pass(100)
        await appended(port, stream, records(1, round + 1, `round${round}-`))
        assert.deepEqual(bodies(await within(soonMs, 'the waiting read', waiting)), [`"round${round}-0"`])
      }
    },
  },
  {
    id: 'stream.read.wakes.all',
    title: 'many waiting reads of two processes are all woken by one append',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const waiting = numbers(8).map((index) =>
        (index % 2 ? one : two).read(stream, starts(2), { ...manyRecords, waitMs: patientMs }),
      )
      await pass(100)
      await appended(one, stream, records(1))
      for (const found of await within(soonMs, 'the waiting reads', Promise.all(waiting)))
        assert.deepEqual(bodies(found), ['"r0"'])
    },
  },
  {
    id: 'stream.read.signal',
    title: 'a waiting read resolves with an empty array when its signal fires, also when it had fired before',
    requires: ['stream'],
    async run(subject) {
      const { stream, one } = await streamBench(subject, { partitions: 1 })
      const abort = new AbortController()
      const options = { ...manyRecords, waitMs: patientMs, signal: abort.signal }
      const waiting = one.read(stream, starts(1), options)
      await pass(50)
      abort.abort()
      assert.deepEqual(await within(soonMs, 'the aborted read', waiting), [])
      assert.deepEqual(
        await within(soonMs, 'the read of a fired signal', one.read(stream, starts(1), options)),
        [],
      )
    },
  },
  {
    id: 'stream.read.above',
    title: 'a position above all records waits for it: nothing below it is given',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const [, , last] = await appended(one, stream, records(3))
      const above = [{ partition: 0, position: last! + 1_000 }]
      const waiting = one.read(stream, above, { ...manyRecords, waitMs: 400 })
      await appended(two, stream, records(1, 0, 'below'))
      assert.deepEqual(await within(400 + soonMs, 'the read from above', waiting), [])
      const end = [{ partition: 0, position: last! + 1 }]
      assert.deepEqual(bodies(await two.read(stream, end, manyRecords)), ['"below0"'])
    },
  },
  {
    id: 'stream.read.takes-turns',
    title: 'partitions take turns: the records of a quiet partition come while those of busy ones wait',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      const busy = [...records(300, 0, 'a'), ...records(300, 1, 'b')]
      await appended(one, stream, [...busy, ...records(1, 2, 'quiet')])
      for (const [maxRecords, reads] of [[10, 12] as const, [1, 30] as const]) {
        const cursor = new Cursor(two, stream, starts(3))
        const seen = new Set<number>()
        for (let read = 0; read < reads && seen.size < 3; read++)
          for (const { partition } of await cursor.read({ maxRecords })) seen.add(partition)
        assert.deepEqual([...seen].sort(), [0, 1, 2], `with ${maxRecords} a read, all after ${reads} reads`)
      }
    },
  },
  {
    id: 'stream.read.takes-turns.bytes',
    title: 'partitions take turns also when every record of a busy one fills the read',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const busy = numbers(40).map(() => ({ partition: 0, body: `"${'x'.repeat(2_000)}"` }))
      await appended(one, stream, [...busy, ...records(1, 1, 'quiet')])
      const cursor = new Cursor(two, stream, starts(2))
      const seen: string[] = []
      for (let read = 0; read < 20 && !seen.includes('"quiet0"'); read++)
        seen.push(...bodies(await cursor.read({ maxBytes: 1_000 })))
      assert.ok(seen.includes('"quiet0"'), 'after 20 reads')
    },
  },
]
