// Appending: what is stored, in which order, and what is refused before anything is stored.
import assert from 'node:assert/strict'
import type { AppendRecord } from '../../../ports/stream.ts'
import { refused } from '../refusal.ts'
import { bodyOfBytes, largeBody, numbers, unusualBodies, unusualKeys } from '../sample.ts'
import { cutOffs, turns } from '../wait.ts'
import {
  appended,
  bodies,
  Cursor,
  inPartition,
  readAll,
  records,
  type StreamCase,
  starts,
  streamBench,
} from './bench.ts'

/** Above this a body is not built in a test. */
const buildable = 64 * 1024 * 1024

export const appendCases: readonly StreamCase[] = [
  {
    id: 'stream.append.stores',
    title: 'append stores what it is given: partition, position, key and no key, and the time',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      const list: AppendRecord[] = [
        { partition: 2, key: 'customer-7', body: '{"n":1}' },
        { partition: 0, body: '{"n":2}' },
        { partition: 2, key: undefined, body: '{"n":3}' },
      ]
      const positions = await appended(one, stream, list)
      const found = await readAll(two, stream, 3, 3)
      for (const [index, { partition, key, body }] of list.entries()) {
        const record = found.find((each) => each.body === body)!
        assert.deepEqual([record.partition, record.position, record.key], [partition, positions[index], key])
        assert.equal(record.version, undefined, 'the stream keeps no versions')
        assert.ok(Math.abs(record.appendedAt - Date.now()) < 60_000, `appendedAt is ${record.appendedAt}`)
      }
      assert.ok(positions[2]! > positions[0]!, 'positions rise in the order of the call')
    },
  },
  {
    id: 'stream.append.bodies',
    title: 'bodies are opaque and come back byte for byte, one by one and in a batch',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const unusual = [...unusualBodies, largeBody()]
      await appended(
        one,
        stream,
        unusual.map((body) => ({ partition: 0, body })),
      )
      for (const body of unusual) await appended(two, stream, [{ partition: 0, body }])
      const found = bodies(await readAll(two, stream, 1, 2 * unusual.length))
      for (const [index, body] of [...unusual, ...unusual].entries())
        assert.ok(
          found[index] === body,
          `body ${index}: ${found[index]?.slice(0, 80)} for ${body.slice(0, 80)}`,
        )
    },
  },
  {
    id: 'stream.append.keys',
    title: 'unusual keys come back as they were',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      await appended(
        one,
        stream,
        unusualKeys.map((key) => ({ partition: 0, key, body: '{}' })),
      )
      const found = await readAll(two, stream, 1, unusualKeys.length)
      assert.deepEqual(
        found.map(({ key }) => key),
        unusualKeys,
      )
    },
  },
  {
    id: 'stream.append.order-within',
    title:
      'records of one partition keep their order within a call; the positions stand in the order of the records',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      const list = numbers(90).map((index) => ({ partition: (index * 2) % 3, body: `${index}` }))
      const positions = await appended(one, stream, list)
      const found = await readAll(two, stream, 3, 90)
      for (const partition of numbers(3))
        assert.deepEqual(
          inPartition(found, partition).map(({ position, body }) => [position, body]),
          list.flatMap((each, index) =>
            each.partition === partition ? [[positions[index], each.body]] : [],
          ),
        )
    },
  },
  {
    id: 'stream.append.order-between',
    title: 'and between calls of which one resolved before the other was made, also in another process',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const expected: string[] = []
      let last = -1
      for (const round of numbers(12)) {
        const list = records(3, 0, `c${round}-`)
        for (const position of await appended(round % 2 ? one : two, stream, list)) {
          assert.ok(position > last, 'positions rise')
          last = position
        }
        expected.push(...bodies(list))
      }
      assert.deepEqual(bodies(await readAll(one, stream, 1, 36)), expected)
    },
  },
  {
    id: 'stream.append.concurrent',
    title: 'concurrent appenders of two processes: each call keeps its order, positions are unique',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const calls = await Promise.all(
        numbers(40).map(async (call) => {
          const list = records(5, call % 4 < 2 ? 0 : 1, `c${call}-`)
          return { list, positions: await appended(call % 2 ? one : two, stream, list) }
        }),
      )
      const found = await readAll(two, stream, 2, 200)
      for (const partition of [0, 1])
        assert.equal(new Set(inPartition(found, partition).map(({ position }) => position)).size, 100)
      for (const { list, positions } of calls) {
        const its = found.filter(({ body }) => bodies(list).includes(body))
        assert.deepEqual(bodies(its), bodies(list))
        assert.deepEqual(
          its.map(({ position }) => position),
          positions,
        )
      }
    },
  },
  {
    id: 'stream.append.none-below',
    title:
      'a reader that polls while processes append never sees a record appear below a position that it has passed',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const total = 4 * 25 * 3
      const appending = Promise.all(
        numbers(4).map(async (appender) => {
          for (const call of numbers(25)) {
            const list = [
              ...records(2, 0, `a${appender}-${call}-`),
              ...records(1, 1, `b${appender}-${call}-`),
            ]
            await appended(appender % 2 ? one : two, stream, list)
            await turns(appender)
          }
        }),
      )
      // Were a record to appear below the cursor, it would be missing at the end.
      const reading = [one, two].map((port) =>
        new Cursor(port, stream, starts(2)).take(total, { maxRecords: 7 }),
      )
      const [seen] = await Promise.all([Promise.all(reading), appending])
      const all = await readAll(one, stream, 2, total)
      for (const each of seen)
        for (const partition of [0, 1])
          assert.deepEqual(bodies(inPartition(each, partition)), bodies(inPartition(all, partition)))
    },
  },
  {
    id: 'stream.append.many',
    title: 'one call may carry thousands of records',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const list = numbers(10_000).map((index) => ({
        partition: index % 2,
        key: `k${index % 50}`,
        body: `${index}`,
      }))
      await appended(one, stream, list)
      const found = await readAll(two, stream, 2, list.length)
      for (const partition of [0, 1])
        assert.deepEqual(bodies(inPartition(found, partition)), bodies(inPartition(list, partition)))
    },
  },
  {
    id: 'stream.append.empty',
    title: 'an append of nothing appends nothing',
    requires: ['stream'],
    async run(subject) {
      const { stream, one } = await streamBench(subject, { partitions: 1 })
      assert.deepEqual(await one.append(stream, []), { status: 'appended', positions: [] })
    },
  },
  {
    id: 'stream.append.too-large',
    title:
      'TOO_LARGE before anything is stored, in any partition, when a body exceeds the limit, measured in UTF-8',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const { maxBodyBytes } = one.limits
      assert.ok(maxBodyBytes >= 1_024 && maxBodyBytes < buildable, `maxBodyBytes is ${maxBodyBytes}`)
      const body = bodyOfBytes(maxBodyBytes + 1)
      const list = [...records(2, 0), { partition: 1, body }, ...records(2, 0, 'after')]
      await refused('TOO_LARGE', () => one.append(stream, list), 'append')
      await appended(two, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await readAll(two, stream, 2, 1)), ['"later0"'])
    },
  },
  {
    id: 'stream.append.just-fits',
    title: 'a body of exactly the limit is taken',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const body = bodyOfBytes(one.limits.maxBodyBytes)
      await appended(one, stream, [{ partition: 0, body }])
      const [found] = await readAll(two, stream, 1, 1)
      assert.ok(found!.body === body, 'it came back byte for byte')
    },
  },
  {
    id: 'stream.append.atomic',
    title:
      'an append over several partitions that is cut off by close is stored whole when it resolved, else not at all',
    requires: ['stream.atomicAppend', 'shared storage'],
    async run(subject) {
      for (const cutOff of cutOffs) {
        const { stream, one } = await streamBench(subject, { partitions: 3 })
        const engine = await subject.access.openEngine()
        const calls = numbers(30).map((call) =>
          engine.stream!.append(
            stream,
            numbers(3).flatMap((partition) => records(4, partition, `c${call}-`)),
          ),
        )
        const settled = Promise.allSettled(calls)
        await cutOff(calls)
        await engine.close()
        const stored = (await settled).map(({ status }) => status === 'fulfilled')
        const found = await readAll(one, stream, 3, 12 * stored.filter(Boolean).length)
        for (const [call, kept] of stored.entries())
          assert.equal(found.filter(({ body }) => body.startsWith(`"c${call}-`)).length, kept ? 12 : 0)
      }
    },
  },
]
