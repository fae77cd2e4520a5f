// The inbox: a message that was handled is not handled again, and one that was not, is.
import assert from 'node:assert/strict'
import { service } from '../database-subject.ts'
import { numbers, unusualKeys } from '../sample.ts'
import { pass, soonMs, within } from '../wait.ts'
import {
  acquire,
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

export const duplicateCases: readonly DatabaseCase[] = [
  {
    id: 'database.duplicate',
    title: 'duplicate: the inbox has the entry; effects do not run and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const first = unit({ inbox: inbox(bench, 'm1'), effects: bench.inserting('a') })
      assert.equal(await bench.one.commit(first), 'committed')
      const { generation } = await acquire(bench)
      let ran = 0
      const second = unit({
        inbox: inbox(bench, 'm1'),
        effects: bench.effects(() => ran++, bench.inserting('b')),
        outbox: outgoing(3),
        progress: progress(bench, generation, 3, 4),
      })
      for (const database of [bench.one, bench.two]) assert.equal(await database.commit(second), 'duplicate')
      assert.equal(ran, 0, 'effects did not run')
      assert.equal(await bench.rows(), 1)
      assert.deepEqual(await takeRows(bench.one), [])
      assert.equal((await acquire(bench)).position, null)
    },
  },
  {
    id: 'database.duplicate.apart',
    title: 'an inbox entry is a consumer and an id: the same id of another consumer is another entry',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { consumer } = bench
      const entries = [
        { consumer, ids: ['a'] },
        { consumer: `${consumer}a`, ids: ['a'] },
        { consumer: `${consumer}:a`, ids: ['b'] },
        { consumer, ids: ['a:b'] },
        { consumer, ids: ['A'] },
        ...unusualKeys.map((id) => ({ consumer: `${consumer}-keys`, ids: [id] })),
      ]
      for (const entry of entries)
        assert.equal(await bench.one.commit(unit({ inbox: entry })), 'committed', JSON.stringify(entry))
      for (const entry of entries)
        assert.equal(await bench.two.commit(unit({ inbox: entry })), 'duplicate', JSON.stringify(entry))
      const found = await bench.two.handled(`${consumer}-keys`, unusualKeys)
      assert.deepEqual(new Set(found.ids), new Set(unusualKeys))
    },
  },
  {
    id: 'database.duplicate.concurrent',
    title:
      'of concurrent units of two processes with the same entry one is committed, the others are duplicates',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      for (const round of numbers(8)) {
        const outcomes = await Promise.all(
          numbers(8).map((index) =>
            (index % 2 ? bench.one : bench.two).commit(
              unit({
                inbox: inbox(bench, `m${round}`),
                effects: bench.inserting(`r${round}-${index}`),
                outbox: outgoing(1, toQueue, `u${round}-${index}-`),
              }),
            ),
          ),
        )
        assert.deepEqual(outcomes.sort(), ['committed', ...Array(7).fill('duplicate')])
      }
      assert.equal(await bench.rows(), 8)
      assert.equal((await takeRows(bench.one)).length, 8)
    },
  },
  {
    id: 'database.duplicate.after-failure',
    title:
      'a concurrent unit is a duplicate only if the first one committed: when that fails, another is committed',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      for (const round of numbers(6)) {
        let runs = 0
        const effects = bench.effects(bench.inserting(`r${round}`), () => {
          if (++runs <= 2) throw new Error('the first two fail')
        })
        const outcomes = await Promise.allSettled(
          numbers(6).map((index) =>
            (index % 2 ? bench.one : bench.two).commit(unit({ inbox: inbox(bench, `m${round}`), effects })),
          ),
        )
        const told = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed'))
        assert.deepEqual(told.sort(), [
          'committed',
          'duplicate',
          'duplicate',
          'duplicate',
          'failed',
          'failed',
        ])
      }
      assert.equal(await bench.rows(), 6)
    },
  },
  {
    id: 'database.duplicate.waits',
    title:
      'a unit with the same entry waits for the open one to end: a duplicate when it commits, committed when it fails',
    requires: ['asynchronous driver'],
    async run(subject) {
      const bench = databaseBench(subject)
      for (const fails of [false, true])
        for (const database of [bench.two, bench.one]) {
          const name = `${fails}-${database === bench.one}`
          const open = Promise.withResolvers<void>()
          const gate = Promise.withResolvers<void>()
          const first = bench.one.commit(
            unit({
              inbox: inbox(bench, name),
              effects: bench.effects(
                bench.inserting(`first-${name}`),
                () => open.resolve(),
                () => gate.promise,
              ),
            }),
          )
          first.catch(() => {})
          try {
            await within(soonMs, 'the first unit runs its effects', open.promise)
            let ended = false
            let ran = false
            const second = database
              .commit(
                unit({
                  inbox: inbox(bench, name),
                  effects: bench.effects(
                    () => {
                      ran = true
                    },
                    bench.inserting(`second-${name}`),
                  ),
                }),
              )
              .finally(() => {
                ended = true
              })
            await pass(150)
            assert.deepEqual([ended, ran], [false, false], 'it waits, and its effects do not run')
            if (fails) gate.reject(new Error('the first fails'))
            else gate.resolve()
            if (fails) await assert.rejects(first, /the first fails/)
            else assert.equal(await first, 'committed')
            assert.equal(await within(soonMs, 'the second unit', second), fails ? 'committed' : 'duplicate')
          } finally {
            gate.resolve()
          }
        }
      assert.equal(await bench.rows(), 4, 'the effects of one of each pair')
    },
  },
  {
    id: 'database.handled',
    title: 'handled tells which of the messages the inbox has, of that consumer; none of a unit that failed',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      assert.equal((await bench.one.handled(bench.consumer, ['m1'])).ids.size, 0)
      for (const id of ['m1', 'm3']) await bench.one.commit(unit({ inbox: inbox(bench, id) }))
      const failing = bench.effects(() => {
        throw new Error('no')
      })
      await assert.rejects(bench.one.commit(unit({ inbox: inbox(bench, 'm2'), effects: failing })))
      const found = await bench.two.handled(bench.consumer, ['m0', 'm1', 'm2', 'm3', 'm1'])
      assert.deepEqual([...found.ids].sort(), ['m1', 'm3'])
      assert.equal((await bench.two.handled(`${bench.consumer}-other`, ['m1'])).ids.size, 0)
      assert.equal((await bench.two.handled(bench.consumer, [])).ids.size, 0)
      const many = numbers(5_000).map((index) => `m${index}`)
      assert.deepEqual([...(await bench.two.handled(bench.consumer, many)).ids].sort(), ['m1', 'm3'])
    },
  },
  {
    id: 'database.prune',
    title: 'prune removes entries older than the time, no others, and resolves with how many',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const names = numbers(20).map((index) => `m${index}`)
      for (const id of names) await bench.one.commit(unit({ inbox: inbox(bench, id), outbox: outgoing(1) }))
      assert.equal(await bench.two.prune(Date.now() - 3_600_000), 0)
      assert.equal((await bench.one.handled(bench.consumer, names)).ids.size, 20)
      let removed = 0
      for (let count = 1; count > 0 && removed <= 20; removed += count) {
        count = await bench.two.prune(Date.now() + 3_600_000)
        assert.ok(count >= 0 && count <= 20)
      }
      assert.equal(removed, 20)
      assert.equal((await bench.one.handled(bench.consumer, names)).ids.size, 0)
      assert.equal(
        await bench.one.commit(unit({ inbox: inbox(bench, 'm0') })),
        'committed',
        'it is forgotten',
      )
      assert.equal(rowIds(await takeRows(bench.one)).length, 20, 'the outbox is as it was')
    },
  },
  {
    id: 'database.prune.noted',
    title:
      'the latest time of what prune removed is noted, never falls, and is known to whoever opens the database',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { consumer, one, two } = bench
      const noted = async (database = two) => (await database.handled(consumer, [])).prunedUpTo
      const commit = async (id: string) => {
        assert.equal(await one.commit(unit({ inbox: inbox(bench, id) })), 'committed')
        return performance.now()
      }
      assert.equal(await noted(), undefined)
      await commit('m0')
      assert.equal(await two.prune(Date.now() - 3_600_000), 0)
      assert.equal(await noted(), undefined, 'nothing was removed')
      assert.equal(await two.prune(Date.now() + 3_600_000), 1)
      const first = (await noted(one))!
      assert.ok(Math.abs(first - Date.now()) < 3_600_000, `the time of the entry, not ${first}`)
      const since = performance.now()
      await pass(100)
      await commit('m1')
      await pass(100)
      const elapsed = (await commit('m2')) - since
      assert.equal(await one.prune(first + 1), 0)
      assert.equal(await noted(), first, 'nothing was removed')
      for (let removed = 0; removed < 2; ) removed += await one.prune(Date.now() + 3_600_000)
      const last = (await noted())!
      assert.ok(last - first > elapsed - 60, `it is the latest: ${last - first} ms after the first`)
      assert.equal((await two.handled(`${consumer}-other`, ['m1'])).prunedUpTo, last, 'of whichever consumer')
      const reopened = await bench.test.open(service)
      assert.equal(await noted(reopened), last)
      await reopened.close()
    },
  },
]
