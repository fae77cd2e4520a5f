// Parking: what is put aside with its position, and leaves with its effects.
import assert from 'node:assert/strict'
import type { ParkedEvent } from '../../../ports/parking.ts'
import { numbers } from '../sample.ts'
import { acquire, type DatabaseBench, type DatabaseCase, databaseBench, progress, unit } from './bench.ts'

function event(position: number, key?: string, change: Partial<ParkedEvent> = {}): ParkedEvent {
  return {
    position,
    key,
    body: `{"n":${position}}`,
    appendedAt: 1_700_000_000_000 + (position % 1_000),
    reason: 'no',
    attempts: 0,
    ...change,
  }
}

/** Parks events as a member does that finishes them. Their positions rise. */
async function park(
  bench: DatabaseBench,
  generation: number,
  ...events: readonly ParkedEvent[]
): Promise<void> {
  for (const each of events) {
    const told = progress(bench, generation, each.position, each.position + 1)
    assert.equal(await bench.one.commit(unit({ progress: told, park: each })), 'committed')
  }
}

const of = ({ stream, group }: DatabaseBench) => ({ stream, group, partition: 0 })
const all = (bench: DatabaseBench) => bench.two.parking.list(of(bench), { limit: 1_000 })
const positions = (events: readonly ParkedEvent[]) => events.map(({ position }) => position)

export const parkingCases: readonly DatabaseCase[] = [
  {
    id: 'database.park',
    title: 'an event is parked with its position, and comes back as it was given',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const events = [
        event(3, 'ключ "1"', {
          body: '{"text":"\u{1f600} \\u0000 \'x\'"}',
          reason: 'it\'s "broken"',
          attempts: 10,
        }),
        event(7),
        event(Number.MAX_SAFE_INTEGER - 1, 'k'),
      ]
      await park(bench, generation, ...events)
      assert.deepEqual(await all(bench), events)
      assert.equal((await acquire(bench)).position, Number.MAX_SAFE_INTEGER, 'they are finished')
    },
  },
  {
    id: 'database.park.list',
    title:
      'parked events are listed by position: all, of one key, or without key; after a position, and so many',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const keys = ['a', undefined, 'b', 'A', 'a']
      await park(bench, generation, ...numbers(15).map((n) => event(n * 10, keys[n % 5])))
      const list = async (options: { after?: number; key?: string | null; limit: number }) =>
        positions(await bench.one.parking.list(of(bench), options))
      assert.deepEqual(
        await list({ limit: 100 }),
        numbers(15).map((n) => n * 10),
      )
      assert.deepEqual(await list({ limit: 3, after: 20 }), [30, 40, 50])
      assert.deepEqual(await list({ limit: 100, key: 'a' }), [0, 40, 50, 90, 100, 140])
      assert.deepEqual(await list({ limit: 2, key: 'a', after: 40 }), [50, 90])
      assert.deepEqual(await list({ limit: 100, key: null }), [10, 60, 110])
      assert.deepEqual(await list({ limit: 100, key: 'none' }), [])
      const { count, keys: found } = await bench.two.parking.summary(of(bench))
      assert.deepEqual({ count, keys: [...found].sort() }, { count: 15, keys: ['A', 'a', 'b'] })
    },
  },
  {
    id: 'database.park.apart',
    title: 'what is parked is of one partition of one stream in one group',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      await park(bench, generation, event(1, 'k'))
      for (const other of [
        { ...of(bench), partition: 1 },
        { ...of(bench), group: `${bench.group}x` },
        { ...of(bench), stream: `${bench.stream}x` },
      ]) {
        assert.deepEqual(await bench.one.parking.list(other, { limit: 10 }), [])
        assert.deepEqual(await bench.one.parking.summary(other), { count: 0, keys: [] })
      }
    },
  },
  {
    id: 'database.park.with-failure',
    title: 'a unit that fails, or is stale, or a duplicate, parks nothing and lets nothing go',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation: old } = await acquire(bench)
      const { generation } = await acquire(bench)
      await park(bench, generation, event(1, 'k'))
      const failing = bench.effects(() => {
        throw new Error('no')
      })
      const told = progress(bench, generation, 2, 3)
      const soFar = progress(bench, generation, undefined, 2)
      await assert.rejects(
        bench.one.commit(unit({ progress: told, park: event(2, 'k'), effects: failing })),
        /no/,
      )
      await assert.rejects(bench.one.commit(unit({ progress: soFar, unpark: 1, effects: failing })), /no/)
      const stale = progress(bench, old, 2, 3)
      assert.equal(await bench.one.commit(unit({ progress: stale, park: event(2, 'k') })), 'stale')
      assert.equal(await bench.one.commit(unit({ progress: stale, unpark: 1 })), 'stale')
      const again = progress(bench, generation, 1, 2)
      const repeated = unit({ progress: again, park: event(1, 'k', { reason: 'again' }) })
      assert.equal(await bench.one.commit(repeated), 'duplicate')
      assert.deepEqual(await all(bench), [event(1, 'k')])
    },
  },
  {
    id: 'database.park.again',
    title: 'what is said of a parked event can be changed',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      await park(bench, generation, event(1, 'k'), event(2, 'k'))
      const changed = event(1, 'k', { reason: 'another reason', attempts: 3 })
      const soFar = progress(bench, generation, undefined, 3)
      assert.equal(await bench.one.commit(unit({ progress: soFar, park: changed })), 'committed')
      assert.deepEqual(await all(bench), [changed, event(2, 'k')])
    },
  },
  {
    id: 'database.unpark',
    title: 'an event leaves with the effects of the unit that handles it, once',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      await park(bench, generation, event(1, 'k'), event(2, 'k'))
      const soFar = progress(bench, generation, undefined, 3)
      const handling = () => unit({ progress: soFar, unpark: 1, effects: bench.inserting('a') })
      assert.equal(await bench.one.commit(handling()), 'committed')
      assert.deepEqual(positions(await all(bench)), [2])
      assert.equal(await bench.two.commit(handling()), 'duplicate')
      assert.equal(await bench.rows(), 1)
      assert.equal(await bench.one.commit(unit({ progress: soFar, unpark: 2 })), 'committed')
      assert.equal(await bench.one.commit(unit({ progress: soFar, unpark: 2 })), 'duplicate')
      assert.deepEqual(await bench.one.parking.summary(of(bench)), { count: 0, keys: [] })
    },
  },
  {
    id: 'database.park.with-effects',
    title: 'a unit with effects and messages parks too',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const told = progress(bench, generation, 0, 1)
      const parking = unit({ progress: told, park: event(0, 'k'), effects: bench.inserting('a') })
      assert.equal(await bench.one.commit(parking), 'committed')
      assert.deepEqual([positions(await all(bench)), await bench.rows()], [[0], 1])
    },
  },
  {
    id: 'database.rewind.parked',
    title: 'going back takes what is parked from the position on with it',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const other = { ...bench, group: `${bench.group}x` }
      await park(other, (await acquire(other)).generation, event(2, 'k'))
      await park(bench, generation, ...numbers(4).map((n) => event(n, 'k')))
      const orders = { stream: `${bench.stream}.orders`, group: bench.group, partition: 0 }
      const held = await bench.one.acquire(orders.stream, orders.group, 0)
      const order = { ...orders, generation: held.generation, finished: 0, low: 1, sequences: {} }
      const to = { ...of(bench), generation, position: 2, low: 0 }
      assert.equal(await bench.one.rewind(order, to), 'committed')
      assert.deepEqual(positions(await all(bench)), [0, 1])
      assert.deepEqual(positions(await all(other)), [2])
    },
  },
]
