// A position that is finished is not finished again, whatever member asks and however often: what its unit did, it did once.
import assert from 'node:assert/strict'
import type { Progress } from '../../../ports/database.ts'
import { numbers } from '../sample.ts'
import { pass, soonMs, within } from '../wait.ts'
import {
  acquire,
  type DatabaseBench,
  type DatabaseCase,
  databaseBench,
  inbox,
  outgoing,
  ownBench,
  progress,
  takeRows,
  unit,
} from './bench.ts'

/** Commits the progress on both handles, with all that a unit may have, and fails unless it is refused without a trace. */
async function refused(bench: DatabaseBench, told: Progress): Promise<void> {
  let ran = 0
  const parts = { progress: told, outbox: outgoing(2), inbox: inbox(bench, 'repeated') }
  const effects = bench.effects(() => ran++, bench.inserting('repeated'))
  for (const database of [bench.one, bench.two])
    for (const each of [parts, { ...parts, effects }])
      assert.equal(await database.commit(unit(each)), 'duplicate')
  assert.equal(ran, 0, 'effects did not run')
  assert.equal((await bench.two.handled(bench.consumer, ['repeated'])).ids.size, 0)
  assert.deepEqual(await takeRows(bench.two), [])
}

export const repeatedCases: readonly DatabaseCase[] = [
  {
    id: 'database.repeated.below-low',
    title: 'duplicate: a position below the stored low; effects do not run and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { generation } = await acquire(bench)
      const first = unit({ progress: progress(bench, generation, 4, 5), effects: bench.inserting('a') })
      assert.equal(await bench.one.commit(first), 'committed')
      await refused(bench, progress(bench, generation, 4, 5))
      await refused(bench, progress(bench, generation, 4, 9, { p: 9 }))
      await refused(bench, progress(bench, generation, 3, 4))
      assert.equal(await bench.rows(), 1)
      const held = await acquire(bench)
      assert.deepEqual([held.position, held.finished, held.sequences], [5, [], {}])
      await refused(bench, progress(bench, held.generation, 4, 5))
    },
  },
  {
    id: 'database.repeated.above-low',
    title: 'duplicate: a position at or above low that was finished, in this generation or an older one',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { generation } = await acquire(bench)
      for (const position of [7, 9]) {
        const effects = bench.inserting(`a${position}`)
        const first = unit({ progress: progress(bench, generation, position, 3), effects })
        assert.equal(await bench.one.commit(first), 'committed')
      }
      await refused(bench, progress(bench, generation, 7, 3))
      await refused(bench, progress(bench, generation, 9, 10))
      const held = await acquire(bench, bench.two)
      assert.deepEqual([held.position, held.finished], [3, [7, 9]])
      await refused(bench, progress(bench, held.generation, 7, 3))
      const between = unit({ progress: progress(bench, held.generation, 8, 3) })
      assert.equal(await bench.two.commit(between), 'committed', 'the one between them was not finished')
      assert.equal(await bench.rows(), 2)
    },
  },
  {
    id: 'database.repeated.apart',
    title: 'a position is one of one partition of one stream in one group',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const others = [
        {},
        { partition: 1 },
        { group: `${bench.group}x` },
        { stream: `${bench.stream}x` },
        { stream: `${bench.stream}-${bench.group}` },
      ]
      for (const other of others) {
        const told = { ...progress(bench, 0, 7, 3), ...other }
        const { generation } = await bench.one.acquire(told.stream, told.group, told.partition)
        const each = unit({ progress: { ...told, generation } })
        assert.equal(await bench.one.commit(each), 'committed')
        assert.equal(await bench.two.commit(each), 'duplicate')
      }
    },
  },
  {
    id: 'database.repeated.low-only',
    title: 'progress that finishes no position is never a duplicate: it only tells low',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      for (const low of [5, 5, 3, 6]) {
        const told = progress(bench, generation, undefined, low)
        assert.equal(await bench.one.commit(unit({ progress: told })), 'committed')
      }
      const next = unit({ progress: progress(bench, generation, 6, 7) })
      assert.equal(await bench.two.commit(next), 'committed')
      const held = await acquire(bench)
      assert.deepEqual([held.position, held.finished], [7, []])
      const late = unit({ progress: progress(bench, generation, undefined, 9) })
      assert.equal(await bench.one.commit(late), 'stale')
      assert.equal((await acquire(bench)).position, 7)
    },
  },
  {
    id: 'database.repeated.stale-first',
    title: 'the fence comes first: a stale unit of a finished position is stale',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const told = progress(bench, generation, 0, 1)
      assert.equal(await bench.one.commit(unit({ progress: told })), 'committed')
      await acquire(bench, bench.two)
      assert.equal(await bench.one.commit(unit({ progress: told })), 'stale')
      const effects = bench.inserting('late')
      assert.equal(await bench.one.commit(unit({ progress: told, effects })), 'stale')
      assert.equal(await bench.rows(), 0)
    },
  },
  {
    id: 'database.repeated.concurrent',
    title:
      'of concurrent units of two processes for one position one is committed, the others are duplicates',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { generation } = await acquire(bench)
      let ran = 0
      for (const round of numbers(8)) {
        const low = round % 2 ? round + 1 : 0
        const outcomes = await Promise.all(
          numbers(8).map((index) =>
            (index % 2 ? bench.one : bench.two).commit(
              unit({
                progress: progress(bench, generation, round, low),
                effects:
                  index % 4 < 2
                    ? bench.effects(() => ran++, bench.inserting(`r${round}-${index}`))
                    : undefined,
                outbox: outgoing(1, undefined, `u${round}-${index}-`),
              }),
            ),
          ),
        )
        assert.deepEqual(outcomes.sort(), ['committed', ...Array(7).fill('duplicate')])
      }
      assert.equal(await bench.rows(), ran, 'no effects but those of the units that were committed')
      assert.equal((await takeRows(bench.one)).length, 8)
    },
  },
  {
    id: 'database.repeated.after-failure',
    title: 'a unit that failed finished nothing: of concurrent ones for its position the next is committed',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      let runs = 0
      const effects = bench.effects(bench.inserting('r'), () => {
        if (++runs <= 2) throw new Error('the first two fail')
      })
      const each = unit({ progress: progress(bench, generation, 5, 3), effects })
      const outcomes = await Promise.allSettled(
        numbers(5).map((index) => (index % 2 ? bench.one : bench.two).commit(each)),
      )
      const told = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed'))
      assert.deepEqual(told.sort(), ['committed', 'duplicate', 'duplicate', 'failed', 'failed'])
      assert.equal(await bench.rows(), 1)
    },
  },
  {
    id: 'database.repeated.waits',
    title:
      'a unit for the position of an open one waits for that to end: a duplicate when it commits, committed when it fails',
    requires: ['asynchronous driver'],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      let position = 0
      for (const fails of [false, true])
        for (const alone of [false, true]) {
          const told = progress(bench, generation, ++position, 0)
          const open = Promise.withResolvers<void>()
          const gate = Promise.withResolvers<void>()
          const effects = bench.effects(
            bench.inserting(`first-${position}`),
            () => open.resolve(),
            () => gate.promise,
          )
          const first = bench.one.commit(unit({ progress: told, effects }))
          first.catch(() => {})
          try {
            await within(soonMs, 'the first unit runs its effects', open.promise)
            let ended = false
            let ran = false
            const theirs = bench.effects(
              () => {
                ran = true
              },
              bench.inserting(`second-${position}`),
            )
            const parts = alone ? { progress: told } : { progress: told, effects: theirs }
            const second = bench.two.commit(unit(parts)).finally(() => {
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
      assert.equal(await bench.rows(), 3, 'two of the first units, one of the second with effects')
    },
  },
]
