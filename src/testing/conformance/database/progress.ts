// Progress in a partition: how far it is, what is finished above that, and who may say so.
import assert from 'node:assert/strict'
import type { HeldPartition } from '../../../ports/database.ts'
import { numbers } from '../sample.ts'
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

/** Commits progress with the newest generation, and fails unless it is accepted. */
async function finish(
  bench: DatabaseBench,
  finished: number | undefined,
  low: number,
  sequences: Readonly<Record<string, number>> = {},
): Promise<Omit<HeldPartition, 'generation'>> {
  const { generation } = await acquire(bench)
  const told = progress(bench, generation, finished, low, sequences)
  assert.equal(await bench.one.commit(unit({ progress: told })), 'committed')
  return stored(bench)
}

async function stored(bench: DatabaseBench): Promise<Omit<HeldPartition, 'generation'>> {
  const { position, finished, sequences } = await acquire(bench, bench.two)
  return { position, finished, sequences }
}

/** All positions that a partition counts as finished, of those given. */
function finishedOf(held: Omit<HeldPartition, 'generation'>, positions: readonly number[]): number[] {
  return positions.filter((each) => each < (held.position ?? 0) || held.finished.includes(each))
}

export const progressCases: readonly DatabaseCase[] = [
  {
    id: 'database.acquire.new',
    title:
      'a partition that never had progress has position null and nothing finished, however often it is acquired',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const first = await acquire(bench)
      const second = await acquire(bench, bench.two)
      for (const { position, finished, sequences } of [first, second])
        assert.deepEqual({ position, finished, sequences }, { position: null, finished: [], sequences: {} })
      assert.ok(second.generation > first.generation, 'the generation rises')
    },
  },
  {
    id: 'database.acquire.concurrent',
    title: 'processes that acquire a partition at once get generations of their own',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const held = await Promise.all(
        numbers(16).map((index) => acquire(bench, index % 2 ? bench.one : bench.two)),
      )
      assert.equal(new Set(held.map(({ generation }) => generation)).size, 16)
      const newest = Math.max(...held.map(({ generation }) => generation))
      for (const { generation } of held) {
        const outcome = await bench.one.commit(unit({ progress: progress(bench, generation, 0, 1) }))
        assert.equal(outcome, generation === newest ? 'committed' : 'stale')
      }
    },
  },
  {
    id: 'database.acquire.apart',
    title: 'generations and progress are of one partition of one stream in one group',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { one, stream, group } = bench
      const { generation } = await acquire(bench)
      const others = [
        [stream, group, 1],
        [stream, `${group}x`, 0],
        [`${stream}x`, group, 0],
        [`${stream}-${group}`, group, 0],
        [`${stream}.0`, group, 0],
      ] as const
      for (const [otherStream, otherGroup, partition] of others)
        await one.acquire(otherStream, otherGroup, partition)
      assert.equal(await one.commit(unit({ progress: progress(bench, generation, 6, 7) })), 'committed')
      for (const [otherStream, otherGroup, partition] of others)
        assert.equal((await one.acquire(otherStream, otherGroup, partition)).position, null)
      assert.equal((await acquire(bench)).position, 7)
    },
  },
  {
    id: 'database.stale',
    title:
      'stale: the generation was raised by another member; effects do not run and nothing of the unit is stored',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const old = await acquire(bench, bench.one)
      const current = await acquire(bench, bench.two)
      let ran = 0
      const late = unit({
        progress: progress(bench, old.generation, 7, 8, { p: 3 }),
        effects: bench.effects(() => ran++, bench.inserting('a')),
        outbox: outgoing(2),
        inbox: inbox(bench, 'm1'),
      })
      for (const database of [bench.one, bench.two]) assert.equal(await database.commit(late), 'stale')
      assert.equal(ran, 0, 'effects did not run')
      assert.equal(await bench.rows(), 0)
      assert.deepEqual(await takeRows(bench.one), [])
      assert.equal((await bench.one.handled(bench.consumer, ['m1'])).ids.size, 0)
      const good = unit({ progress: progress(bench, current.generation, 0, 1) })
      assert.equal(await bench.two.commit(good), 'committed')
      assert.deepEqual(await stored(bench), { position: 1, finished: [], sequences: {} })
    },
  },
  {
    id: 'database.stale.before-duplicate',
    title: 'the fence is checked before the inbox: a stale unit is stale, also when its message was handled',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      await bench.one.commit(unit({ inbox: inbox(bench, 'm1') }))
      const { generation } = await acquire(bench)
      await acquire(bench, bench.two)
      const both = unit({ inbox: inbox(bench, 'm1'), progress: progress(bench, generation, 0, 1) })
      assert.equal(await bench.one.commit(both), 'stale')
    },
  },
  {
    id: 'database.stale.race',
    title:
      'acquire fences: what it returns has exactly the units that older generations committed, also those under way',
    requires: [],
    async run(subject) {
      for (const round of numbers(6)) {
        const bench = databaseBench(subject)
        const { generation } = await acquire(bench)
        const positions = numbers(24)
        const acquiring = Promise.withResolvers<HeldPartition>()
        const outcomes = await Promise.all(
          positions.map(async (position) => {
            if (position === 4 + 2 * round)
              acquire(bench, bench.two).then(acquiring.resolve, acquiring.reject)
            const told = progress(bench, generation, position, 0)
            return bench.one.commit(unit({ progress: told, effects: bench.inserting(`r${position}`) }))
          }),
        )
        const held = await acquiring.promise
        const committed = positions.filter((position) => outcomes[position] === 'committed')
        assert.ok(outcomes.every((outcome) => outcome === 'committed' || outcome === 'stale'))
        assert.deepEqual(finishedOf(held, positions), committed)
        assert.equal(await bench.rows(), committed.length, 'and so are the effects')
      }
    },
  },
  {
    id: 'database.stale.race.open',
    title: 'a unit that is open while another member acquires is in what that gets, or it is stale',
    requires: ['asynchronous driver'],
    async run(subject) {
      const bench = databaseBench(subject)
      const { generation } = await acquire(bench)
      const open = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const effects = bench.effects(
        bench.inserting('a'),
        () => open.resolve(),
        () => gate.promise,
      )
      const committing = bench.one.commit(unit({ progress: progress(bench, generation, 0, 1), effects }))
      committing.catch(() => {})
      await open.promise
      const acquiring = acquire(bench, bench.two)
      setTimeout(() => gate.resolve(), 200)
      const [outcome, held] = await Promise.all([committing, acquiring])
      assert.equal(held.position, outcome === 'committed' ? 1 : null)
      assert.equal(await bench.rows(), outcome === 'committed' ? 1 : 0)
    },
  },
  {
    id: 'database.progress.low',
    title: 'everything below low is finished; low is stored only if it is higher than what is stored',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      assert.deepEqual((await finish(bench, 0, 1)).position, 1)
      assert.deepEqual((await finish(bench, 16, 17)).position, 17, 'positions may leave numbers out')
      assert.deepEqual(await finish(bench, undefined, 10), { position: 17, finished: [], sequences: {} })
      assert.deepEqual(await finish(bench, 20, 3), { position: 17, finished: [20], sequences: {} })
      for (const _ of numbers(2))
        assert.deepEqual(await finish(bench, undefined, 18), { position: 18, finished: [20], sequences: {} })
      const last = Number.MAX_SAFE_INTEGER
      assert.deepEqual((await finish(bench, last - 1, last)).position, last)
    },
  },
  {
    id: 'database.progress.finished',
    title:
      'a finished position at or above low is remembered until a later low passes it; they come ascending',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      assert.deepEqual(await finish(bench, 12, 10), { position: 10, finished: [12], sequences: {} })
      assert.deepEqual((await finish(bench, 100, 10)).finished, [12, 100])
      assert.deepEqual((await finish(bench, 11, 10)).finished, [11, 12, 100], 'as numbers, not as texts')
      assert.deepEqual(await finish(bench, 10, 13), { position: 13, finished: [100], sequences: {} })
      assert.deepEqual((await finish(bench, 13, 100)).finished, [100], 'low itself is not below low')
      assert.deepEqual(await finish(bench, 101, 102), { position: 102, finished: [], sequences: {} })
    },
  },
  {
    id: 'database.progress.first-open',
    title: 'a partition with finished positions and a low of 0 has progress: its position is 0, not null',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      assert.deepEqual(await finish(bench, 2, 0), { position: 0, finished: [2], sequences: {} })
    },
  },
  {
    id: 'database.progress.sequences',
    title:
      'the highest sequence of each producer is stored with a low that is higher, and else left as it is',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const names = ['producer-1', 'ключ "1"']
      const [a, b] = names as [string, string]
      assert.deepEqual((await finish(bench, 0, 1, { [a]: 5 })).sequences, { [a]: 5 })
      const both = { [a]: 7, [b]: Number.MAX_SAFE_INTEGER }
      assert.deepEqual((await finish(bench, 3, 4, both)).sequences, both)
      assert.deepEqual((await finish(bench, 7, 3, { [a]: 6 })).sequences, both, 'a low that is lower')
      assert.deepEqual((await finish(bench, 9, 4, { [a]: 99 })).sequences, both, 'the same low')
    },
  },
  {
    id: 'database.progress.with-failure',
    title: 'progress of a unit that failed is not stored, neither low nor finished nor sequences',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      await finish(bench, 0, 1, { p: 1 })
      const { generation } = await acquire(bench)
      const effects = bench.effects(() => {
        throw new Error('no')
      })
      for (const [finished, low] of [
        [1, 2],
        [5, 1],
      ] as const) {
        const told = progress(bench, generation, finished, low, { p: 9 })
        await assert.rejects(bench.one.commit(unit({ effects, progress: told })), /no/)
      }
      assert.deepEqual(await stored(bench), { position: 1, finished: [], sequences: { p: 1 } })
    },
  },
  {
    id: 'database.progress.interleaved',
    title: 'units that finish out of order and at once leave nothing out: progress never goes back',
    requires: [],
    async run(subject) {
      for (const seed of numbers(4)) {
        const bench = databaseBench(subject)
        const { generation } = await acquire(bench)
        // Positions that leave numbers out, in an order that jumps about.
        const positions = numbers(41).map((index) => 3 * index + (index % 2))
        const order = [...positions].sort((a, b) => ((a * (7 + seed)) % 41) - ((b * (7 + seed)) % 41))
        const done = new Set<number>()
        let next = 0
        await Promise.all(
          numbers(6).map(async (worker) => {
            while (next < order.length) {
              const position = order[next++]!
              const low =
                positions.find((each) => !done.has(each) && each !== position) ?? positions.at(-1)! + 1
              const told = progress(bench, generation, position, low, { p: low })
              const database = worker % 2 ? bench.one : bench.two
              assert.equal(await database.commit(unit({ progress: told })), 'committed')
              done.add(position)
            }
          }),
        )
        const held = await stored(bench)
        assert.deepEqual(finishedOf(held, positions), positions, 'all are finished')
        assert.ok(
          held.finished.every((position) => position >= held.position!),
          'finished positions are at or above the position',
        )
        assert.deepEqual(
          held.sequences,
          { p: held.position! },
          'the sequences are those of the low that is stored',
        )
      }
    },
  },
]
