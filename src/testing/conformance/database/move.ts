// Moving rows of the outbox to a stream that is kept in the same database: one transaction, and a reader sees what he would have seen otherwise.
import assert from 'node:assert/strict'
import { numbered, tombstoneText } from '../../../core/envelope.ts'
import { partitionOf } from '../../../core/partition.ts'
import type { Database } from '../../../ports/database.ts'
import type { Engine } from '../../../ports/engine.ts'
import type { StreamRecord } from '../../../ports/stream.ts'
import { bodyOfBytes, largeBody, numbers, unusualKeys } from '../sample.ts'
import { eventually, soonMs, turns, within } from '../wait.ts'
import {
  type DatabaseBench,
  type DatabaseCase,
  longLockMs,
  outgoing,
  ownBench,
  relay,
  rowIds,
  takeRows,
  toQueue,
  toStream,
  unit,
} from './bench.ts'

const requires = ['streams in the database'] as const
const stream = toStream.name

interface MoveBench extends DatabaseBench {
  readonly engine: Engine
  /** Resolves with how many were moved. */
  move(database: Database<unknown>, limit?: number, holder?: string): Promise<number | undefined>
  /** What is in a partition, in order. */
  records(partition: number): Promise<StreamRecord[]>
  /** The bodies in the first one. */
  bodies(): Promise<string[]>
}

/** A database of the case's own with a stream in it, adopted by both handles. */
async function moveBench(
  subject: Parameters<DatabaseCase['run']>[0],
  partitions = 1,
): Promise<MoveBench & AsyncDisposable> {
  const bench = await ownBench(subject)
  const engine = await bench.test.openEngine!()
  const port = engine.stream!
  await port.declare({ name: stream, partitions })
  for (const database of [bench.one, bench.two])
    assert.equal(await database.adopt?.(port.home!), true, 'the streams are in the database')
  const records = (partition: number): Promise<StreamRecord[]> =>
    port.read(stream, [{ partition, position: 0 }], { maxRecords: 10_000, maxBytes: 2 ** 26, waitMs: 0 })
  return {
    ...bench,
    engine,
    async move(database, limit = 1_000, holder = relay) {
      const moved = await database.outbox.move!(holder, toStream, limit, { home: port.home!, partitions })
      return moved?.rows
    },
    records,
    bodies: async () => (await records(0)).map(({ body }) => body),
    async [Symbol.asyncDispose]() {
      await engine.close()
      await bench[Symbol.asyncDispose]()
    },
  }
}

const named = (name: string) => ({
  destination: toStream,
  id: name,
  key: undefined,
  body: `{"name":"${name}"}`,
})
const nameOf = (body: string): string => (JSON.parse(body) as { name: string }).name
const sequenceOf = (body: string): number => Number((JSON.parse(body) as { sequence: string }).sequence)

export const moveCases: readonly DatabaseCase[] = [
  {
    id: 'database.move.as-sent',
    title: 'what is moved reads as if it had been taken and appended, and is gone from the outbox',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one, two } = bench
      const { producerId } = one.outbox
      const messages = outgoing(6, toStream)
      await one.commit(unit({ outbox: messages.slice(0, 2) }))
      const taken = await takeRows(one, toStream)
      await one.commit(unit({ outbox: [...messages.slice(2), ...outgoing(1, toQueue, 'q')] }))
      assert.equal(await bench.move(two), 6)
      const bodies = await bench.bodies()
      const sequences = bodies.map(sequenceOf)
      assert.deepEqual(
        bodies,
        messages.map(({ body }, index) => numbered(body, producerId, sequences[index]!)),
      )
      assert.deepEqual(
        sequences.slice(0, 2),
        taken.map(({ sequence }) => sequence),
        'rows keep the number that they have: they may have been sent with it',
      )
      const [next] = await takeRows(one, toQueue)
      const all = [...sequences, next!.sequence]
      assert.deepEqual(
        all,
        all.toSorted((a, b) => a - b),
        'numbers rise over what is moved and what is taken',
      )
      assert.equal(new Set(all).size, all.length)
      assert.deepEqual(await one.outbox.count(), { waiting: 1, setAside: 0 })
      assert.equal(await bench.move(two), 0)
      assert.equal((await bench.bodies()).length, 6)
    },
  },
  {
    id: 'database.move.limit',
    title: 'at most as many as the limit are moved, the first of them',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one } = bench
      await one.commit(unit({ outbox: outgoing(7, toStream) }))
      assert.equal(await bench.move(one, 3), 3)
      assert.deepEqual(await one.outbox.count(), { waiting: 4, setAside: 0 })
      assert.equal(await bench.move(one, 3), 3)
      assert.equal(await bench.move(one, 3), 1)
      assert.deepEqual(
        (await bench.bodies()).map((body) => (JSON.parse(body) as { n: number }).n),
        numbers(7),
      )
    },
  },
  {
    id: 'database.move.lock',
    title:
      'while another has the lock nothing is moved; without a holder, by its holder and when it has expired it is',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one, two } = bench
      const commit = () => one.commit(unit({ outbox: outgoing(2, toStream) }))
      await commit()
      assert.equal(await bench.move(one), 2)
      await commit()
      assert.equal(await two.outbox.lock('relay-2', longLockMs), true)
      assert.equal(await bench.move(one), undefined)
      assert.deepEqual(await one.outbox.count(), { waiting: 2, setAside: 0 })
      assert.equal((await bench.bodies()).length, 2)
      assert.equal(await bench.move(two, 1_000, 'relay-2'), 2)
      await commit()
      assert.equal(await bench.move(one), undefined)
      // A lock of its holder's that ends at once.
      assert.equal(await two.outbox.lock('relay-2', 1), true)
      await eventually('it has expired', async () => assert.equal(await bench.move(one), 2))
      assert.equal((await bench.bodies()).length, 6)
    },
  },
  {
    id: 'database.move.partitions',
    title: 'every message goes to the partition of its key, and is there byte for byte',
    requires,
    async run(subject) {
      const partitions = 5
      await using bench = await moveBench(subject, partitions)
      const { one } = bench
      const keys = [
        ...unusualKeys,
        ...numbers(60).map((length) => 'ké'.repeat(length).slice(0, length) || 'k'),
      ]
      const messages = [
        ...keys.map((key, index) => ({ id: `k${index}`, key, body: `{"n":${JSON.stringify(key)}}` })),
        ...numbers(20).map((index) => ({ id: `none-${index}`, key: undefined, body: `{"n":${index}}` })),
        { id: 'large', key: undefined, body: `{"n":${largeBody()}}` },
      ].map((message) => ({ ...message, destination: toStream }))
      await one.commit(unit({ outbox: messages }))
      assert.equal(await bench.move(one), messages.length)
      const { producerId } = one.outbox
      for (const partition of numbers(partitions)) {
        const records = await bench.records(partition)
        const expected = messages.filter(({ id, key }) => partitionOf(key ?? id, partitions) === partition)
        assert.deepEqual(
          records.map(({ key, body }) => ({ key, body })),
          expected.map(({ key, body }, index) => {
            const sequence = sequenceOf(records[index]?.body ?? '{}')
            return { key, body: numbered(body, producerId, sequence) }
          }),
        )
      }
    },
  },
  {
    id: 'database.move.whole',
    title: 'where the stream does not take one of the rows nothing is changed',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one, two, engine } = bench
      const { maxBodyBytes } = engine.stream!.limits
      // What it carries when it is sent is longer than that.
      const large = `{"n":${bodyOfBytes(maxBodyBytes - 10)}}`
      const bad = [
        { id: 'large', body: large },
        // A tombstone has a key.
        { id: 'end', body: `{"id":"end"${tombstoneText},"data":null}` },
      ].map((message) => ({ ...message, destination: toStream, key: undefined }))
      for (const message of bad) {
        await one.commit(unit({ outbox: [...outgoing(1, toStream, 'before'), message] }))
        assert.equal(await bench.move(one), undefined)
        assert.equal((await one.outbox.count()).waiting, 2)
        const rows = await takeRows(one, toStream)
        assert.deepEqual(rowIds(rows), ['before0', message.id])
        await two.outbox.setAside(rows[1]!, 'it is')
        assert.equal(await bench.move(two, 1_000, relay), 1)
      }
      assert.equal((await bench.bodies()).length, 2)
      assert.deepEqual(await one.outbox.count(), { waiting: 0, setAside: 2 })
    },
  },
  {
    id: 'database.move.elsewhere',
    title: 'the streams of another database are not adopted, and nothing is moved to streams that are not',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one } = bench
      assert.equal(await one.adopt!({}), false)
      await one.commit(unit({ outbox: outgoing(1, toStream) }))
      const elsewhere = { home: {}, partitions: 1 }
      assert.equal(await one.outbox.move!(relay, toStream, 10, elsewhere), undefined)
      const here = { home: bench.engine.stream!.home!, partitions: 1 }
      assert.equal(await one.outbox.move!(relay, toQueue, 10, here), undefined)
      const unknown = { ...toStream, name: 'never-declared' }
      await one.commit(unit({ outbox: outgoing(1, unknown, 'u') }))
      assert.equal(await one.outbox.move!(relay, unknown, 10, here), undefined)
      assert.deepEqual(await one.outbox.count(), { waiting: 2, setAside: 0 })
    },
  },
  {
    id: 'database.move.late',
    title: 'a late commit is moved late, never skipped',
    requires: [...requires, 'asynchronous driver'],
    async run(subject) {
      await using bench = await moveBench(subject)
      const { one, two } = bench
      const open = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const effects = bench.effects(
        bench.inserting('a'),
        () => open.resolve(),
        () => gate.promise,
      )
      const late = one.commit(unit({ outbox: [named('late')], effects }))
      late.catch(() => {})
      try {
        await within(soonMs, 'the late unit is open', open.promise)
        assert.equal(await two.commit(unit({ outbox: [named('early')] })), 'committed')
        assert.equal(await bench.move(two), 1)
        gate.resolve()
        assert.equal(await late, 'committed')
        assert.equal(await bench.move(two), 1)
        const bodies = await bench.bodies()
        assert.deepEqual(bodies.map(nameOf), ['early', 'late'])
        const [first, second] = bodies.map(sequenceOf)
        assert.ok(second! > first!)
      } finally {
        gate.resolve()
      }
    },
  },
  {
    id: 'database.move.relays',
    title:
      'while processes commit, relays that move as soon as they get the lock move every row once, in order',
    requires,
    async run(subject) {
      await using bench = await moveBench(subject)
      const handles = [bench.one, bench.two]
      const units = 25
      let committing = true
      const committed = Promise.all(
        numbers(4).map(async (producer) => {
          for (const index of numbers(units)) {
            const [message] = outgoing(1, toStream, `p${producer}-`)
            const body = `{"producer":${producer},"index":${index}}`
            const outbox = [{ ...message!, id: `p${producer}-${index}`, body }]
            assert.equal(await handles[producer % 2]!.commit(unit({ outbox })), 'committed')
            await turns(producer)
          }
        }),
      ).finally(() => {
        committing = false
      })
      const moving = handles.map(async (database, index) => {
        for (let last = false; !last; ) {
          last = !committing
          if ((await bench.move(database, 7, `relay-${index}`))! > 0) last = false
          await turns(index)
        }
      })
      await Promise.all([committed, ...moving])
      const seen = (await bench.bodies()).map(
        (body) => JSON.parse(body) as { producer: number; index: number; sequence: string },
      )
      for (const producer of numbers(4))
        assert.deepEqual(
          seen.filter((each) => each.producer === producer).map(({ index }) => index),
          numbers(units),
          'what one producer committed one after another is in that order, each once',
        )
      const sequences = seen.map(({ sequence }) => Number(sequence))
      assert.deepEqual(
        sequences,
        sequences.toSorted((a, b) => a - b),
      )
    },
  },
]
