// Versions per key: the capability `versions`, both ways.
import assert from 'node:assert/strict'
import type { AppendRecord, StreamPort } from '../../../ports/stream.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { numbers, unusualKeys } from '../sample.ts'
import { owners } from '../subject.ts'
import { appended, bodies, inPartition, readAll, records, type StreamCase, streamBench } from './bench.ts'

function expecting(key: string, expectedVersion: number, body: string, partition = 0): AppendRecord {
  return { partition, key, body, expectedVersion }
}

async function versionsOf(port: StreamPort, stream: string, key: string): Promise<(number | undefined)[]> {
  const found = await port.readKey(stream, key, { fromVersion: 1, limit: 1_000 })
  return found.map(({ version }) => version)
}

export const versionCases: readonly StreamCase[] = [
  {
    id: 'stream.versions.counted',
    title: 'a record tells its number among those of its key, from 1, with or without an expected version',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2, versions: true })
      await appended(one, stream, [
        { partition: 0, key: 'a', body: '1' },
        { partition: 1, key: 'b', body: '2' },
        expecting('a', 1, '3'),
        { partition: 0, body: 'null' },
      ])
      await appended(two, stream, [{ partition: 0, key: 'a', body: '4' }])
      const found = await readAll(two, stream, 2, 5)
      assert.deepEqual(
        inPartition(found, 0).map(({ key, version }) => [key, key === undefined ? 'any' : version]),
        [
          ['a', 1],
          ['a', 2],
          [undefined, 'any'],
          ['a', 3],
        ],
      )
      assert.equal(inPartition(found, 1)[0]!.version, 1)
    },
  },
  {
    id: 'stream.versions.expected',
    title: 'an append with the right expected version is stored, counting those before it in the call',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      await appended(one, stream, [expecting('a', 0, '1'), expecting('b', 0, '2'), expecting('a', 1, '3')])
      await appended(two, stream, [{ partition: 0, key: 'a', body: '4' }, expecting('a', 3, '5')])
      assert.deepEqual(bodies(await readAll(one, stream, 1, 5)), ['1', '2', '3', '4', '5'])
    },
  },
  {
    id: 'stream.versions.numbers',
    title: 'an expected version out of range is refused before anything is done: INVALID_OPTION',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      for (const version of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
        const call = () => one.append(stream, [expecting('a', 0, '1'), expecting('b', version, '2')])
        await refused('INVALID_OPTION', call, `the expected version ${version}`)
      }
      await appended(two, stream, [expecting('a', 0, '3')])
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['3'])
    },
  },
  {
    id: 'stream.versions.conflict',
    title:
      'a conflict tells the first record that did not find its version, and how many its key really has; nothing is stored',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3, versions: true })
      await appended(one, stream, [expecting('a', 0, '1'), expecting('a', 1, '2')])
      const stale = await two.append(stream, [expecting('a', 1, 'stale')])
      assert.deepEqual(stale, { status: 'conflict', index: 0, version: 2 })
      const early = await two.append(stream, [expecting('new', 3, 'early')])
      assert.deepEqual(early, { status: 'conflict', index: 0, version: 0 })
      const mixed = await one.append(stream, [
        { partition: 2, key: 'c', body: 'lost' },
        expecting('a', 2, 'lost'),
        { partition: 1, body: 'lost' },
        expecting('a', 2, 'wrong'),
        expecting('b', 9, 'wrong too', 1),
      ])
      assert.deepEqual(mixed, { status: 'conflict', index: 3, version: 2 }, 'what is stored')
      await appended(two, stream, [expecting('c', 0, '3', 2), expecting('a', 2, '4')])
      const found = await readAll(two, stream, 3, 4)
      assert.deepEqual(bodies(inPartition(found, 0)), ['1', '2', '4'])
      assert.deepEqual(bodies(inPartition(found, 2)), ['3'])
    },
  },
  {
    id: 'stream.versions.race',
    title: 'of appends of several processes that expect the same version, one is stored',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      for (const version of numbers(5)) {
        const results = await Promise.all(
          numbers(8).map((index) =>
            (index % 2 ? one : two).append(stream, [expecting('a', version, `"${version}-${index}"`)]),
          ),
        )
        const [stored, ...more] = results.filter(({ status }) => status === 'appended')
        assert.ok(
          stored && more.length === 0,
          `one of eight was stored, not ${more.length + (stored ? 1 : 0)}`,
        )
        for (const result of results)
          if (result.status === 'conflict')
            assert.deepEqual(result, { status: 'conflict', index: 0, version: version + 1 })
      }
      assert.deepEqual(await versionsOf(two, stream, 'a'), [1, 2, 3, 4, 5])
    },
  },
  {
    id: 'stream.versions.increments',
    title: 'processes that read, decide and append with the expected version lose no update',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      const rounds = 8
      await Promise.all(
        numbers(4).map(async (writer) => {
          const port = writer % 2 ? one : two
          for (let done = 0, tries = 0; done < rounds; tries++) {
            assert.ok(tries < 1_000, 'in a thousand tries everyone had its turn')
            const known = await port.readKey(stream, 'sum', { fromVersion: 1, limit: 1_000 })
            const sum = Number(known.at(-1)?.body ?? 0)
            const { status } = await port.append(stream, [expecting('sum', known.length, `${sum + 1}`)])
            if (status === 'appended') done++
          }
        }),
      )
      const found = await one.readKey(stream, 'sum', { fromVersion: 4 * rounds, limit: 10 })
      assert.deepEqual(bodies(found), [`${4 * rounds}`])
    },
  },
  {
    id: 'stream.readKey.from',
    title: 'readKey gives the records of a key from a version on, in order, up to limit, and no others',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2, versions: true })
      const list = numbers(30).map((index) => ({
        partition: index % 2,
        key: `k${index % 6}`,
        body: `${index}`,
      }))
      const positions = await appended(one, stream, list)
      const all = await two.readKey(stream, 'k3', { fromVersion: 1, limit: 100 })
      assert.deepEqual(
        all.map(({ partition, position, key, body, version }) => [partition, position, key, body, version]),
        numbers(5).map((index) => [1, positions[6 * index + 3], 'k3', `${6 * index + 3}`, index + 1]),
      )
      const some = await two.readKey(stream, 'k3', { fromVersion: 2, limit: 3 })
      assert.deepEqual(bodies(some), ['9', '15', '21'])
      assert.deepEqual(await one.readKey(stream, 'k3', { fromVersion: 6, limit: 3 }), [])
      assert.deepEqual(await one.readKey(stream, 'nobody', { fromVersion: 1, limit: 3 }), [])
    },
  },
  {
    id: 'stream.readKey.keys',
    title: 'keys are compared byte for byte: those that look alike have versions of their own',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      const first = unusualKeys.map((key, index) => expecting(key, 0, `${index}`))
      await appended(one, stream, first)
      for (const [index, key] of unusualKeys.entries()) {
        const found = await two.readKey(stream, key, { fromVersion: 1, limit: 10 })
        assert.deepEqual([bodies(found), found[0]?.version], [[`${index}`], 1], JSON.stringify(key))
      }
    },
  },
  {
    id: 'stream.versions.not-kept',
    title:
      'a stream that was declared without versions refuses an expected version and readKey, and stores nothing',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const list = [...records(1), expecting('a', 0, '1')]
      await refused('CONFIGURATION', () => one.append(stream, list), 'append')
      await refused(
        ['CAPABILITY_MISSING', 'CONFIGURATION'],
        () => one.readKey(stream, 'a', { fromVersion: 1, limit: 1 }),
        'readKey',
      )
      await appended(two, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['"later0"'])
    },
  },
  {
    id: 'stream.versions.needs-key',
    title:
      'an expected version for a record without key is refused, and nothing of the call is stored: CONFIGURATION',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      const list = [...records(1), { partition: 0, body: '{}', expectedVersion: 0 }]
      await refused('CONFIGURATION', () => one.append(stream, list), 'append')
      await appended(two, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['"later0"'])
    },
  },
  {
    id: 'stream.versions.whole-stream',
    title: 'the records of a key are counted in the whole stream, over its partitions',
    requires: ['stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2, versions: true })
      await appended(one, stream, [expecting('a', 0, '1', 0), expecting('a', 1, '2', 1)])
      const conflict = await two.append(stream, [expecting('a', 1, 'stale', 1)])
      assert.deepEqual(conflict, { status: 'conflict', index: 0, version: 2 })
      await appended(two, stream, [expecting('a', 2, '3', 0)])
      const found = await one.readKey(stream, 'a', { fromVersion: 1, limit: 10 })
      assert.deepEqual(
        found.map(({ version, partition, body }) => [version, partition, body]),
        [
          [1, 0, '1'],
          [2, 1, '2'],
          [3, 0, '3'],
        ],
      )
    },
  },
  {
    id: 'stream.versions.missing',
    title:
      'an engine without versions refuses an expected version and readKey, and stores nothing: CAPABILITY_MISSING',
    requires: ['stream', 'without stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const who = owners('stream', 'versions')
      const { name } = subject.one
      const list = [...records(1), expecting('a', 0, '1')]
      await refusedForLack(name, who, () => one.append(stream, list), 'append')
      await refusedForLack(name, who, () => one.readKey(stream, 'a', { fromVersion: 1, limit: 1 }), 'readKey')
      await appended(two, stream, records(1, 0, 'later'))
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['"later0"'])
    },
  },
]
