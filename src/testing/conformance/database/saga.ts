// The state of sagas: compared and set in a unit, with all that the unit does.
import assert from 'node:assert/strict'
import type { SagaInstance } from '../../../ports/saga.ts'
import { fresh, numbers, unusualKeys } from '../sample.ts'
import {
  acquire,
  type DatabaseBench,
  type DatabaseCase,
  inbox,
  outgoing,
  ownBench,
  progress,
  takeRows,
  unit,
} from './bench.ts'

const skewMs = 60_000

/** Writes the state of instance `i` of a saga. */
function write(bench: DatabaseBench, saga: string, expected: number, body: string | null, id = 'i') {
  return bench.one.commit(unit({ saga: { saga, id, expected, body } }))
}

async function stateOf({ two }: DatabaseBench, saga: string, id = 'i'): Promise<SagaInstance> {
  const stored = await two.sagas.get(saga, id)
  assert.ok(stored !== undefined, `${saga} has an instance ${id}`)
  return stored
}

export const sagaCases: readonly DatabaseCase[] = [
  {
    id: 'database.saga',
    title: 'the state of a saga is stored with the unit, byte for byte, and its version rises by one',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      assert.equal(await bench.two.sagas.get(saga, 'i'), undefined)
      const first = unit({
        saga: { saga, id: 'i', expected: 0, body: '{"a":"ß 🛑"}' },
        effects: bench.inserting('a'),
        outbox: outgoing(1),
      })
      assert.equal(await bench.one.commit(first), 'committed')
      const { changedAt, ...stored } = await stateOf(bench, saga)
      assert.deepEqual(stored, { saga, id: 'i', version: 1, body: '{"a":"ß 🛑"}' })
      assert.ok(Math.abs(changedAt - Date.now()) < skewMs, `${changedAt} is milliseconds since the epoch`)
      assert.equal(await write(bench, saga, 1, '{}'), 'committed')
      const { version, body } = await stateOf(bench, saga)
      assert.deepEqual([version, body], [2, '{}'])
      assert.deepEqual([await bench.rows(), (await takeRows(bench.two)).length], [1, 1])
    },
  },
  {
    id: 'database.saga.conflict',
    title: 'conflict: it has another version; effects do not run and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      await write(bench, saga, 0, '1')
      await write(bench, saga, 1, '2')
      const { generation } = await acquire(bench)
      let ran = 0
      for (const [id, expected] of [
        ['i', 0],
        ['i', 1],
        ['i', 3],
        ['other', 1],
      ] as const) {
        const late = unit({
          saga: { saga, id, expected, body: 'late' },
          inbox: inbox(bench, 'm1'),
          progress: progress(bench, generation, 3, 4),
          effects: bench.effects(() => ran++, bench.inserting('b')),
          outbox: outgoing(2),
        })
        assert.equal(await bench.two.commit(late), 'conflict', `${id} ${expected}`)
      }
      assert.equal(ran, 0, 'effects did not run')
      assert.equal((await stateOf(bench, saga)).body, '2')
      assert.equal(await bench.one.sagas.get(saga, 'other'), undefined)
      assert.equal((await bench.one.handled(bench.consumer, ['m1'])).ids.size, 0)
      assert.deepEqual([await bench.rows(), await takeRows(bench.two)], [0, []])
      assert.equal((await acquire(bench)).position, null)
    },
  },
  {
    id: 'database.saga.fails',
    title: 'a unit whose effects fail leaves the state as it was',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      const effects = bench.effects(() => {
        throw new Error('no')
      })
      for (const expected of [0, 1]) {
        const failing = unit({ saga: { saga, id: 'i', expected, body: 'never' }, effects })
        await assert.rejects(bench.one.commit(failing), /no/)
        const stored = await bench.two.sagas.get(saga, 'i')
        assert.deepEqual([stored?.version, stored?.body], expected === 0 ? [undefined, undefined] : [1, '1'])
        await write(bench, saga, expected, '1')
      }
    },
  },
  {
    id: 'database.saga.concurrent',
    title: 'of concurrent units of two processes that expect the same version one is committed',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      for (const expected of numbers(6)) {
        const outcomes = await Promise.all(
          numbers(6).map((index) =>
            (index % 2 ? bench.one : bench.two).commit(
              unit({
                saga: { saga, id: 'i', expected, body: `${expected} ${index}` },
                effects: bench.inserting(`r${expected}-${index}`),
              }),
            ),
          ),
        )
        assert.deepEqual(outcomes.sort(), ['committed', ...Array(5).fill('conflict')])
      }
      assert.equal((await stateOf(bench, saga)).version, 6)
      assert.equal(await bench.rows(), 6)
    },
  },
  {
    id: 'database.saga.ended',
    title: 'an instance that has ended is known: it neither goes on nor starts again',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      await write(bench, saga, 0, '1')
      assert.equal(await write(bench, saga, 1, null), 'committed')
      const stored = await stateOf(bench, saga)
      assert.deepEqual([stored.version, stored.body], [2, null])
      for (const expected of [0, 1, 2]) assert.equal(await write(bench, saga, expected, 'again'), 'conflict')
      assert.equal(await write(bench, saga, 0, null, 'at once'), 'committed', 'it may end as it starts')
    },
  },
  {
    id: 'database.saga.apart',
    title: 'an instance is a saga and an id: the same id of another saga is another instance',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      const names = [
        [saga, 'a'],
        [`${saga}a`, 'a'],
        [saga, 'A'],
        [`${saga}:a`, 'b'],
        [saga, 'a:b'],
        ...unusualKeys.map((id) => [`${saga}-keys`, id] as const),
      ] as const
      for (const [index, [name, id]] of names.entries())
        assert.equal(await write(bench, name, 0, `${index}`, id), 'committed', `${name} ${id}`)
      for (const [index, [name, id]] of names.entries())
        assert.equal((await stateOf(bench, name, id)).body, `${index}`)
    },
  },
  {
    id: 'database.saga.order',
    title: 'stale and duplicate come before conflict',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      const { generation } = await acquire(bench)
      await bench.one.commit(unit({ inbox: inbox(bench, 'm1'), progress: progress(bench, generation, 3, 0) }))
      const late = { saga: { saga, id: 'i', expected: 5, body: '' } }
      const commit = (parts: Parameters<typeof unit>[0]) => bench.two.commit(unit({ ...late, ...parts }))
      assert.equal(await commit({ inbox: inbox(bench, 'm1') }), 'duplicate')
      assert.equal(await commit({ progress: progress(bench, generation, 3, 0) }), 'duplicate')
      assert.equal(await commit({ progress: progress(bench, generation - 1, 9, 0) }), 'stale')
      assert.equal(await commit({}), 'conflict')
    },
  },
  {
    id: 'database.saga.list',
    title: 'list gives the instances of one saga by their ids, up to limit, after an id',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      for (const id of ['c', 'a', 'e', 'b', 'd']) await write(bench, saga, 0, id, id)
      await write(bench, saga, 1, null, 'b')
      await write(bench, `${saga}-other`, 0, 'x', 'bb')
      const shown = async (options: { readonly limit: number; readonly after?: string }) =>
        (await bench.two.sagas.list(saga, options)).map(({ id, body }) => `${id} ${body}`)
      assert.deepEqual(await shown({ limit: 3 }), ['a a', 'b null', 'c c'])
      assert.deepEqual(await shown({ limit: 3, after: 'c' }), ['d d', 'e e'])
      assert.deepEqual(await shown({ limit: 3, after: 'e' }), [])
    },
  },
  {
    id: 'database.saga.prune',
    title: 'prune removes instances that ended before the time, and none that goes on',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const saga = fresh('saga')
      for (const id of ['a', 'b', 'c']) await write(bench, saga, 0, '1', id)
      for (const id of ['a', 'b']) await write(bench, saga, 1, null, id)
      assert.equal(await bench.two.sagas.prune(Date.now() - 3_600_000), 0)
      assert.equal(await bench.two.sagas.prune(Date.now() + 3_600_000), 2)
      const left = await bench.one.sagas.list(saga, { limit: 10 })
      assert.deepEqual(
        left.map(({ id }) => id),
        ['c'],
      )
      assert.equal(await write(bench, saga, 0, '1', 'a'), 'committed', 'it is forgotten')
    },
  },
]
