// One unit: everything of it becomes durable together, or nothing does.
import assert from 'node:assert/strict'
import { service } from '../database-subject.ts'
import { fresh, numbers } from '../sample.ts'
import {
  acquire,
  type DatabaseBench,
  type DatabaseCase,
  databaseBench,
  inbox,
  outgoing,
  ownBench,
  progress,
  rowIds,
  takeRows,
  toQueue,
  unit,
} from './bench.ts'

/** A unit with every part, and a check that all of it or nothing of it is stored. */
async function whole(bench: DatabaseBench) {
  const { generation } = await acquire(bench)
  const parts = {
    inbox: inbox(bench, 'm1'),
    progress: progress(bench, generation, 4, 5, { p: 9 }),
    outbox: outgoing(2),
  }
  const stored = async (all: boolean) => {
    const { two, consumer } = bench
    assert.equal(await bench.rows(), all ? 2 : 0, 'effects')
    assert.deepEqual([...(await two.handled(consumer, ['m1'])).ids], all ? ['m1'] : [], 'inbox')
    const held = await acquire(bench, two)
    assert.deepEqual([held.position, held.sequences], all ? [5, { p: 9 }] : [null, {}], 'progress')
    assert.deepEqual(held.finished, [])
    assert.deepEqual(rowIds(await takeRows(two)), all ? ['o0', 'o1'] : [], 'outbox')
  }
  return { parts, stored }
}

export const commitCases: readonly DatabaseCase[] = [
  {
    id: 'database.commit.all',
    title: 'committed: effects, outbox, inbox and progress are all there, for every process',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { parts, stored } = await whole(bench)
      assert.equal(
        await bench.one.commit(unit({ ...parts, effects: bench.inserting('a', 'b') })),
        'committed',
      )
      await stored(true)
    },
  },
  {
    id: 'database.commit.reopened',
    title: 'what was committed is there when the database is opened again',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { parts, stored } = await whole(bench)
      const third = await bench.test.open(service)
      assert.equal(await third.commit(unit({ ...parts, effects: bench.inserting('a', 'b') })), 'committed')
      await third.close()
      const fourth = await bench.test.open(service)
      assert.deepEqual([...(await fourth.handled(bench.consumer, ['m1'])).ids], ['m1'])
      await fourth.close()
      await stored(true)
    },
  },
  {
    id: 'database.commit.parts',
    title: 'a unit may have any of its parts, or none',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      assert.equal(await one.commit(unit({})), 'committed')
      assert.equal(await one.commit(unit({ effects: () => undefined })), 'committed')
      assert.equal(await one.commit(unit({ effects: bench.inserting('a') })), 'committed')
      assert.equal(await one.commit(unit({ inbox: inbox(bench, 'm1') })), 'committed')
      assert.equal(await one.commit(unit({ outbox: outgoing(1) })), 'committed')
      const { generation } = await acquire(bench)
      assert.equal(await one.commit(unit({ progress: progress(bench, generation, 0, 1) })), 'committed')
      assert.equal(await bench.rows(), 1)
      assert.deepEqual(rowIds(await takeRows(one)), ['o0'])
      assert.equal((await acquire(bench)).position, 1)
    },
  },
  {
    id: 'database.commit.effects-fail',
    title: 'effects that throw: commit rejects with what they threw, and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { parts, stored } = await whole(bench)
      const error = new Error('no')
      const effects = bench.effects(bench.inserting('a', 'b'), () => {
        throw error
      })
      await assert.rejects(bench.one.commit(unit({ ...parts, effects })), (thrown) => thrown === error)
      await stored(false)
    },
  },
  {
    id: 'database.commit.effects-fail.retry',
    title: 'a failure leaves no record: the same unit is committed when it is tried again',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { parts } = await whole(bench)
      let tries = 0
      const effects = bench.effects(bench.inserting('a', 'b'), () => {
        if (++tries < 3) throw new Error('not yet')
      })
      const generation = (await acquire(bench)).generation
      const whole2 = unit({ ...parts, progress: progress(bench, generation, 4, 5), effects })
      await assert.rejects(bench.one.commit(whole2), /not yet/)
      await assert.rejects(bench.two.commit(whole2), /not yet/)
      assert.equal(await bench.one.commit(whole2), 'committed')
      assert.equal(await bench.two.commit(whole2), 'duplicate')
      assert.equal(await bench.rows(), 2)
      assert.deepEqual(rowIds(await takeRows(bench.one)), ['o0', 'o1'])
    },
  },
  {
    id: 'database.commit.effects-throw-anything',
    title: 'what effects throw is thrown as it is, also when it is no Error',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      for (const value of ['a text', 42, null, undefined, { code: 'OWN' }]) {
        const effects = bench.effects(bench.inserting('a'), () => {
          throw value
        })
        const outcome = await bench.one.commit(unit({ effects })).then(
          () => ({ rejected: false, with: undefined as unknown }),
          (thrown: unknown) => ({ rejected: true, with: thrown }),
        )
        assert.deepEqual(outcome, { rejected: true, with: value })
      }
      assert.equal(await bench.rows(), 0)
    },
  },
  {
    id: 'database.commit.effects-broken-rule',
    title:
      'effects that break a rule of the database fail as the driver fails, and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      await bench.one.commit(unit({ effects: bench.inserting('taken') }))
      const { parts } = await whole(bench)
      const effects = bench.inserting('new', 'taken', 'never')
      await assert.rejects(bench.one.commit(unit({ ...parts, effects })))
      assert.equal(await bench.rows(), 1)
      assert.deepEqual(await takeRows(bench.two), [])
      assert.equal((await bench.two.handled(bench.consumer, ['m1'])).ids.size, 0)
      assert.equal(await bench.one.commit(unit({ effects: bench.inserting('after') })), 'committed')
    },
  },
  {
    id: 'database.commit.swallowed-error',
    title:
      'effects that swallow an error of the database: all of the unit is stored, or commit rejects; never "committed" for nothing',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      await bench.one.commit(unit({ effects: bench.inserting('taken') }))
      const breaking = bench.inserting('taken')
      const swallow = (db: unknown): unknown => {
        try {
          const result = breaking(db)
          return result instanceof Promise ? result.catch(() => {}) : result
        } catch {
          return undefined
        }
      }
      const effects = bench.effects(bench.inserting('a'), swallow)
      const parts = { effects, outbox: outgoing(1), inbox: inbox(bench, 'm1') }
      const outcome = await bench.one.commit(unit(parts)).catch(() => 'rejected')
      const stored = outcome === 'committed'
      assert.ok(stored || outcome === 'rejected')
      assert.equal(await bench.rows(), stored ? 2 : 1)
      assert.equal((await bench.two.handled(bench.consumer, ['m1'])).ids.size, stored ? 1 : 0)
      assert.deepEqual(rowIds(await takeRows(bench.two)), stored ? ['o0'] : [])
    },
  },
  {
    id: 'database.commit.outbox-grows',
    title: 'the outbox of a unit is read after its effects have run: they may add to it',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const outbox = outgoing(1)
      const effects = bench.effects(bench.inserting('a'), () => outbox.push(...outgoing(2, toQueue, 'added')))
      assert.equal(await bench.one.commit(unit({ effects, outbox })), 'committed')
      assert.deepEqual(rowIds(await takeRows(bench.two)), ['o0', 'added0', 'added1'])
    },
  },
  {
    id: 'database.services-apart',
    title: 'services may share a database: nothing of one is ever taken for something of the other',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const other = await bench.test.open('other')
      const { generation } = await acquire(bench)
      const parts = {
        inbox: inbox(bench, 'm1'),
        outbox: outgoing(2),
        progress: progress(bench, generation, 3, 4),
      }
      assert.equal(await bench.one.commit(unit(parts)), 'committed')
      assert.equal((await other.handled(bench.consumer, ['m1'])).ids.size, 0, 'inbox')
      assert.equal((await acquire(bench, other)).position, null, 'progress')
      assert.deepEqual(await other.outbox.pending(), [], 'outbox')
      assert.deepEqual(await other.outbox.count(), { waiting: 0, setAside: 0 })
      assert.equal((await takeRows(bench.one)).length, 2)
      assert.equal(
        await other.outbox.lock('another relay', 60_000),
        true,
        'each outbox has a lock of its own',
      )
      assert.deepEqual(await other.outbox.take('another relay', toQueue, 10), [])
      assert.notEqual(other.outbox.producerId, bench.one.outbox.producerId)
      const theirs = { inbox: inbox(bench, 'm1'), outbox: outgoing(1, toQueue, 'theirs') }
      assert.equal(await other.commit(unit(theirs)), 'committed', 'the same entry, of another service')
      assert.deepEqual(rowIds(await other.outbox.take('another relay', toQueue, 10)), ['theirs0'])
      assert.equal((await takeRows(bench.two)).length, 2)
      assert.equal(await bench.one.commit(unit({ progress: progress(bench, generation, 4, 5) })), 'committed')
      assert.equal((await acquire(bench, other)).position, null)
      await other.close()
    },
  },
  {
    id: 'database.commit.many-parts',
    title: 'a unit may send thousands of messages; unusual names and ids are kept apart',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      assert.equal(await bench.one.commit(unit({ outbox: outgoing(5_000) })), 'committed')
      assert.deepEqual(await bench.two.outbox.count(), { waiting: 5_000, setAside: 0 })
      assert.deepEqual(rowIds(await takeRows(bench.two, toQueue, 5_000)), rowIds(outgoing(5_000)))
    },
  },
  {
    id: 'database.concurrent.all',
    title: 'concurrent units of two processes are all committed, each whole',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const outcomes = await Promise.all(
        numbers(120).map((index) =>
          (index % 2 ? bench.one : bench.two).commit(
            unit({
              effects: bench.inserting(`a${index}`, `b${index}`),
              outbox: outgoing(2, toQueue, `u${index}-`),
              inbox: inbox(bench, `m${index}`),
            }),
          ),
        ),
      )
      assert.deepEqual(new Set(outcomes), new Set(['committed']))
      assert.equal(await bench.rows(), 240)
      const taken = rowIds(await takeRows(bench.one))
      assert.equal(new Set(taken).size, 240)
      for (const index of numbers(120)) {
        const its = taken.filter((id) => id.startsWith(`u${index}-`))
        assert.deepEqual(its, [`u${index}-0`, `u${index}-1`], 'the messages of a unit keep their order')
      }
    },
  },
  {
    id: 'database.concurrent.some-fail',
    title:
      'of concurrent units the failure of some leaves the others untouched, and nothing of the failed ones',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      await bench.one.commit(unit({ effects: bench.inserting('taken') }))
      const ways = [
        (index: number) => bench.inserting(`r${index}`),
        (index: number) =>
          bench.effects(bench.inserting(`r${index}`), () => {
            throw new Error(`failure ${index}`)
          }),
        (index: number) => bench.inserting(`r${index}`),
        (index: number) => bench.inserting(`r${index}`, 'taken'),
      ]
      const outcomes = await Promise.allSettled(
        numbers(80).map((index) =>
          (index % 8 < 6 ? bench.one : bench.two).commit(
            unit({
              effects: ways[index % 4]!(index),
              outbox: outgoing(1, toQueue, `u${index}-`),
              inbox: inbox(bench, `m${index}`),
            }),
          ),
        ),
      )
      const good = numbers(80).filter((index) => index % 2 === 0)
      for (const [index, outcome] of outcomes.entries()) {
        if (index % 2 === 0) assert.deepEqual(outcome, { status: 'fulfilled', value: 'committed' })
        else assert.equal(outcome.status, 'rejected', `unit ${index}`)
        if (index % 4 === 1 && outcome.status === 'rejected')
          assert.equal((outcome.reason as Error).message, `failure ${index}`, 'each has its own error')
      }
      assert.equal(await bench.rows(), 1 + good.length)
      const handled = await bench.two.handled(
        bench.consumer,
        numbers(80).map((index) => `m${index}`),
      )
      assert.deepEqual([...handled.ids].sort(), good.map((index) => `m${index}`).sort())
      const taken = rowIds(await takeRows(bench.two))
      assert.deepEqual(taken.sort(), good.map((index) => `u${index}-0`).sort())
    },
  },
  {
    id: 'database.open.concurrent',
    title: 'processes may open a new database at the same time, and one again that exists',
    requires: [],
    async run(subject) {
      await using database = await subject.create()
      const { test } = database
      const name = fresh('service')
      const opened = await Promise.all(numbers(4).map(() => test.open(name)))
      for (const [index, each] of opened.entries())
        assert.equal(await each.commit(unit({ inbox: { consumer: 'c', ids: [`${index}`] } })), 'committed')
      assert.equal((await opened[0]!.handled('c', ['0', '1', '2', '3', '4'])).ids.size, 4)
      await Promise.all(opened.map((each) => each.close()))
    },
  },
]
