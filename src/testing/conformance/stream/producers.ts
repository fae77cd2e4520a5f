// Appends that may be repeated: the capability `producers`, both ways.
import assert from 'node:assert/strict'
import type { AppendResult } from '../../../ports/stream.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import { owners } from '../subject.ts'
import { bodies, readAll, records, type StreamCase, streamBench } from './bench.ts'

const statuses = (results: readonly AppendResult[]) => results.map(({ status }) => status)

export const producerCases: readonly StreamCase[] = [
  {
    id: 'stream.producers.repeated',
    title:
      'a call that is repeated is a duplicate, tells the last sequence, and stores nothing, whoever makes it',
    requires: ['stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const id = fresh('producer')
      const both = [...records(2), ...records(1, 1, 'other')]
      const first = await one.append(stream, both, { producer: { id, sequence: 7 } })
      assert.equal(first.status, 'appended')
      assert.equal(first.status === 'appended' && first.positions.length, 3)
      for (const port of [one, two]) {
        const again = await port.append(stream, both, { producer: { id, sequence: 7 } })
        assert.deepEqual(again, { status: 'duplicate', sequence: 7 })
      }
      const found = bodies(await readAll(two, stream, 2, 3))
      assert.deepEqual(found.sort(), ['"other0"', '"r0"', '"r1"'])
    },
  },
  {
    id: 'stream.producers.rise',
    title: 'sequences rise with gaps; one that is not above the last is a duplicate',
    requires: ['stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const id = fresh('producer')
      const results: AppendResult[] = []
      for (const [index, sequence] of [0, 1, 5, 4, 5, 1_000_000, 6].entries())
        results.push(
          await (index % 2 ? one : two).append(stream, records(1, 0, `${sequence}-`), {
            producer: { id, sequence },
          }),
        )
      const [a, d] = ['appended', 'duplicate']
      assert.deepEqual(statuses(results), [a, a, a, d, d, a, d])
      assert.deepEqual(results.at(-1), { status: 'duplicate', sequence: 1_000_000 })
      const stored = ['"0-0"', '"1-0"', '"5-0"', '"1000000-0"']
      assert.deepEqual(bodies(await readAll(one, stream, 1, 4)), stored)
    },
  },
  {
    id: 'stream.producers.apart',
    title: 'producers are told apart, also by stream, and nobody is kept from appending without one',
    requires: ['stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const other = await streamBench(subject, { partitions: 1 })
      const [a, b] = [fresh('producer'), fresh('producer')]
      const results: AppendResult[] = []
      for (const [to, id] of [
        [stream, a],
        [stream, b],
        [other.stream, a],
        [stream, a],
      ] as const)
        results.push(await one.append(to, records(1, 0, id), { producer: { id, sequence: 1 } }))
      assert.deepEqual(statuses(results), ['appended', 'appended', 'appended', 'duplicate'])
      assert.equal((await two.append(stream, records(1))).status, 'appended')
      await readAll(two, stream, 1, 3)
      await readAll(two, other.stream, 1, 1)
    },
  },
  {
    id: 'stream.producers.race',
    title: 'of the same call, made by several processes at once, one is stored',
    requires: ['stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 2 })
      const id = fresh('producer')
      for (const sequence of numbers(5)) {
        const call = [...records(1, 0, `${sequence}-`), ...records(1, 1, `${sequence}-`)]
        const results = await Promise.all(
          numbers(8).map((index) =>
            (index % 2 ? one : two).append(stream, call, { producer: { id, sequence } }),
          ),
        )
        const stored = results.filter(({ status }) => status === 'appended')
        assert.equal(stored.length, 1, `${stored.length} of eight were stored`)
      }
      await readAll(one, stream, 2, 10)
    },
  },
  {
    id: 'stream.producers.with-versions',
    title: 'a conflict leaves the sequence as it was; a duplicate is one before any version is looked at',
    requires: ['stream.producers', 'stream.versions'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1, versions: true })
      const id = fresh('producer')
      const append = (sequence: number, expectedVersion: number) =>
        (sequence % 2 ? one : two).append(
          stream,
          [{ partition: 0, key: 'k', body: `"${sequence}-${expectedVersion}"`, expectedVersion }],
          { producer: { id, sequence } },
        )
      assert.deepEqual(await append(1, 5), { status: 'conflict', index: 0, version: 0 })
      assert.equal((await append(1, 0)).status, 'appended')
      assert.deepEqual(await append(1, 0), { status: 'duplicate', sequence: 1 })
      assert.deepEqual(await append(2, 0), { status: 'conflict', index: 0, version: 1 })
      assert.equal((await append(2, 1)).status, 'appended')
      assert.deepEqual(bodies(await readAll(two, stream, 1, 2)), ['"1-0"', '"2-1"'])
    },
  },
  {
    id: 'stream.producers.refused',
    title: 'a call that is refused leaves the sequence as it was, and so does one without records',
    requires: ['stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const producer = { id: fresh('producer'), sequence: 3 }
      const tooLarge = { partition: 0, body: `"${'x'.repeat(one.limits.maxBodyBytes)}"` }
      await refused(
        'TOO_LARGE',
        () => one.append(stream, [...records(1), tooLarge], { producer }),
        'too large',
      )
      await refused(
        'INVALID_OPTION',
        () => one.append(stream, records(1, 1), { producer }),
        'no such partition',
      )
      assert.deepEqual(await two.append(stream, [], { producer }), { status: 'appended', positions: [] })
      assert.equal((await two.append(stream, records(1), { producer })).status, 'appended')
      for (const wrong of [
        { id: '', sequence: 4 },
        { id: 'x'.repeat(201), sequence: 4 },
        { id: 'x', sequence: -1 },
        { id: 'x', sequence: 0.5 },
        { id: 'x', sequence: 2 ** 53 },
      ])
        await refused(
          'INVALID_OPTION',
          () => one.append(stream, records(1), { producer: wrong }),
          JSON.stringify(wrong).slice(0, 60),
        )
      await readAll(two, stream, 1, 1)
    },
  },
  {
    id: 'stream.producers.missing',
    title: 'naming a producer is refused, not passed over, where it would not be looked at',
    requires: ['stream', 'without stream.producers'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      const append = () => one.append(stream, records(1), { producer: { id: 'p', sequence: 1 } })
      await refusedForLack(subject.one.name, owners('stream', 'producers'), append, 'append with a producer')
      assert.equal((await two.append(stream, records(1, 0, 'plain'))).status, 'appended')
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['"plain0"'])
    },
  },
]
