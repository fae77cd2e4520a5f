// Declaring streams, and streams that were not declared.
import assert from 'node:assert/strict'
import { refused, refusedForLack } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import { owners } from '../subject.ts'
import {
  appended,
  bodies,
  lookOnce,
  readAll,
  records,
  type StreamCase,
  starts,
  streamBench,
  streamPorts,
} from './bench.ts'

export const declareCases: readonly StreamCase[] = [
  {
    id: 'stream.declare.makes',
    title: 'declare makes the stream exist, for every handle, and resolves with its partitions',
    requires: ['stream'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      for (const partitions of [1, 3, 8]) {
        const name = fresh('stream')
        assert.deepEqual(await one.declare({ name, partitions }), { partitions })
        await appended(two, name, records(1, partitions - 1))
        assert.deepEqual(bodies(await readAll(one, name, partitions, 1)), ['"r0"'])
      }
    },
  },
  {
    id: 'stream.declare.keeps',
    title: 'an existing stream keeps its own number of partitions, and its records',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 3 })
      await appended(one, stream, records(2, 2))
      assert.deepEqual(await two.declare({ name: stream, partitions: 5 }), { partitions: 3 })
      assert.deepEqual(await one.declare({ name: stream, partitions: 1 }), { partitions: 3 })
      assert.deepEqual(bodies(await readAll(two, stream, 3, 2)), ['"r0"', '"r1"'])
      assert.equal((await one.bounds(stream)).length, 3)
    },
  },
  {
    id: 'stream.declare.concurrent',
    title: 'processes that declare a stream at once agree on its partitions',
    requires: ['stream'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      const name = fresh('stream')
      const found = await Promise.all(
        numbers(8).map((index) => (index % 2 ? one : two).declare({ name, partitions: 1 + index })),
      )
      const partitions = (await two.bounds(name)).length
      for (const answer of found) assert.deepEqual(answer, { partitions })
    },
  },
  {
    id: 'stream.unknown',
    title: 'every method refuses a stream that was not declared: UNKNOWN_STREAM',
    requires: ['stream'],
    async run(subject) {
      const { one } = streamPorts(subject)
      const stream = fresh('stream')
      const member = { sessionMs: 60_000, assigned() {}, async revoked() {}, failed() {} }
      await refused('UNKNOWN_STREAM', () => one.append(stream, records(1)), 'append')
      await refused('UNKNOWN_STREAM', () => one.read(stream, starts(1), lookOnce), 'read')
      await refused('UNKNOWN_STREAM', () => one.bounds(stream), 'bounds')
      await refused('UNKNOWN_STREAM', () => one.positionsAt(stream, Date.now()), 'positionsAt')
      await refused('UNKNOWN_STREAM', () => one.committed(stream, 'nobody'), 'committed')
      await refused('UNKNOWN_STREAM', () => one.groups(stream), 'groups')
      await refused('UNKNOWN_STREAM', () => one.join(stream, 'nobody', member), 'join')
      if (one.capabilities.versions)
        await refused(
          'UNKNOWN_STREAM',
          () => one.readKey(stream, 'k', { fromVersion: 1, limit: 1 }),
          'readKey',
        )
    },
  },
  {
    id: 'stream.unknown.then-declared',
    title: 'a stream that was unknown can be used as soon as another process has declared it',
    requires: ['stream'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      const name = fresh('stream')
      await refused('UNKNOWN_STREAM', () => one.append(name, records(1)), 'append')
      await two.declare({ name, partitions: 2 })
      await appended(one, name, records(1, 1))
      assert.deepEqual(bodies(await readAll(one, name, 2, 1)), ['"r0"'])
    },
  },
  {
    id: 'stream.numbers',
    title:
      'numbers out of range and partitions that do not exist are refused before anything is done: INVALID_OPTION',
    requires: ['stream'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const member = { sessionMs: 60_000, assigned() {}, async revoked() {}, failed() {} }
      const at = (partition: number) => [{ partition, position: 0 }]
      const wrong: Readonly<Record<string, () => Promise<unknown>>> = {
        'declare, 0 partitions': () => one.declare({ name: fresh('stream'), partitions: 0 }),
        'declare, 1.5 partitions': () => one.declare({ name: fresh('stream'), partitions: 1.5 }),
        'append, partition 2 of 2': () => one.append(stream, [...records(1), ...records(1, 2)]),
        'append, partition -1': () => one.append(stream, [...records(1), ...records(1, -1)]),
        'append, partition 0.5': () => one.append(stream, [...records(1), ...records(1, 0.5)]),
        'read, partition 2 of 2': () => one.read(stream, [...at(0), ...at(2)], lookOnce),
        'read, maxRecords 0': () => one.read(stream, at(0), { ...lookOnce, maxRecords: 0 }),
        'read, maxBytes 0': () => one.read(stream, at(0), { ...lookOnce, maxBytes: 0 }),
        'read, waitMs -1': () => one.read(stream, at(0), { ...lookOnce, waitMs: -1 }),
        'join, a session too short': () =>
          one.join(stream, fresh('group'), { ...member, sessionMs: one.limits.minSessionMs - 1 }),
      }
      for (const [what, call] of Object.entries(wrong)) await refused('INVALID_OPTION', call, what)
      await appended(two, stream, records(1, 1, 'later'))
      assert.deepEqual(bodies(await readAll(two, stream, 2, 1)), ['"later0"'])
    },
  },
  {
    id: 'stream.declare.versions.fixed',
    title:
      'versions cannot be changed for a stream that has records: CONFIGURATION; declaring the same again is fine',
    requires: ['stream.versions'],
    async run(subject) {
      const kept = await streamBench(subject, { partitions: 2, versions: true })
      await appended(kept.one, kept.stream, [{ partition: 0, key: 'k', body: '1' }])
      const withVersions = { name: kept.stream, partitions: 2, versions: true }
      assert.deepEqual(await kept.two.declare(withVersions), { partitions: 2 })
      assert.deepEqual(await kept.two.declare({ name: kept.stream, partitions: 2 }), { partitions: 2 })
      const [first] = await kept.one.readKey(kept.stream, 'k', { fromVersion: 1, limit: 1 })
      assert.equal(first!.version, 1, 'left out, it stays as it is')
      await refused(
        'CONFIGURATION',
        () => kept.two.declare({ ...withVersions, versions: false }),
        'taking versions away',
      )
      const plain = await streamBench(subject, { partitions: 2 })
      await appended(plain.one, plain.stream, [{ partition: 0, key: 'k', body: '1' }])
      assert.deepEqual(await plain.two.declare({ name: plain.stream, partitions: 2 }), { partitions: 2 })
      await refused(
        'CONFIGURATION',
        () => plain.two.declare({ name: plain.stream, partitions: 2, versions: true }),
        'adding versions',
      )
    },
  },
  {
    id: 'stream.declare.versions.missing',
    title: 'an engine without versions refuses a stream that shall keep them: CAPABILITY_MISSING',
    requires: ['stream', 'without stream.versions'],
    async run(subject) {
      const { one } = streamPorts(subject)
      const spec = { name: fresh('stream'), partitions: 1, versions: true }
      await refusedForLack(subject.one.name, owners('stream', 'versions'), () => one.declare(spec), 'declare')
      await refused('UNKNOWN_STREAM', () => one.bounds(spec.name), 'the stream was not made; bounds')
    },
  },
]
