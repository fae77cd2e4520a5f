// Going back: a partition of a group starts again from a position, in the transaction that marks the order as carried out.
import assert from 'node:assert/strict'
import type { CommitOutcome, HeldPartition, Progress, Rewind } from '../../../ports/database.ts'
import { acquire, type DatabaseBench, type DatabaseCase, databaseBench, progress, unit } from './bench.ts'

interface Held {
  readonly main: HeldPartition
  readonly order: HeldPartition
}

const orders = (bench: DatabaseBench) => `${bench.stream}.orders`

async function hold(bench: DatabaseBench): Promise<Held> {
  const main = await acquire(bench)
  return { main, order: await bench.one.acquire(orders(bench), bench.group, 0) }
}

/** Progress up to `low` with what is finished above it, and producers. */
async function finish(
  bench: DatabaseBench,
  { generation }: HeldPartition,
  low: number,
  above: readonly number[] = [],
  sequences: Readonly<Record<string, number>> = { p: 3 },
): Promise<void> {
  const told = progress(bench, generation, undefined, low, sequences)
  assert.equal(await bench.one.commit(unit({ progress: told })), 'committed')
  for (const position of above) {
    const finished = progress(bench, generation, position, low, sequences)
    assert.equal(await bench.one.commit(unit({ progress: finished })), 'committed')
  }
}

function orderOf(bench: DatabaseBench, { generation }: HeldPartition, position = 4): Progress {
  const { group } = bench
  return {
    stream: orders(bench),
    group,
    partition: 0,
    generation,
    finished: position,
    low: position + 1,
    sequences: {},
  }
}

function back(bench: DatabaseBench, { generation }: HeldPartition, position: number, low = 0): Rewind {
  const { stream, group } = bench
  return { stream, group, partition: 0, generation, position, low }
}

async function rewind(bench: DatabaseBench, held: Held, position: number): Promise<CommitOutcome> {
  return bench.one.rewind(orderOf(bench, held.order), back(bench, held.main, position))
}

/** What a partition has, apart from its generation. */
async function standing(bench: DatabaseBench, stream = bench.stream) {
  const { position, finished, sequences } = await bench.two.acquire(stream, bench.group, 0)
  return { position, finished, sequences }
}

export const rewindCases: readonly DatabaseCase[] = [
  {
    id: 'database.rewind',
    title:
      'a partition goes back: from the position on nothing is finished, producers start anew, the order is done',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const held = await hold(bench)
      await finish(bench, held.main, 10, [12, 15])
      assert.equal(await rewind(bench, held, 6), 'committed')
      assert.deepEqual(await standing(bench), { position: 6, finished: [], sequences: {} })
      assert.equal((await standing(bench, orders(bench))).position, 5, 'the order is finished')
      // What orders it may be the partition itself: a log of orders that was restored from an older copy.
      const main = await acquire(bench)
      const itself = progress(bench, main.generation, undefined, 2)
      assert.equal(await bench.one.rewind(itself, back(bench, main, 2, 2)), 'committed')
      assert.deepEqual(await standing(bench), { position: 2, finished: [], sequences: {} })
    },
  },
  {
    id: 'database.rewind.never-forward',
    title: 'a position that was not reached is not skipped to, and what is finished below it stays so',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const held = await hold(bench)
      await finish(bench, held.main, 10, [12, 15, 18])
      assert.equal(await rewind(bench, held, 15), 'committed')
      assert.deepEqual(await standing(bench), { position: 10, finished: [12], sequences: { p: 3 } })
    },
  },
  {
    id: 'database.rewind.first',
    title: 'where no low is stored, the low that is told counts',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      for (const [position, low, expected] of [
        [7, 3, 3],
        [2, 3, 2],
      ] as const) {
        const stream = `${bench.stream}-${position}`
        const main = await bench.one.acquire(stream, bench.group, 0)
        const order = await bench.one.acquire(orders(bench), bench.group, position)
        const done = { ...orderOf(bench, order), partition: position }
        assert.equal(
          await bench.one.rewind(done, { ...back(bench, main, position, low), stream }),
          'committed',
        )
        assert.equal((await standing(bench, stream)).position, expected)
      }
    },
  },
  {
    id: 'database.rewind.fences',
    title: 'going back raises the generation: units under way, and another going back, are stale',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const held = await hold(bench)
      await finish(bench, held.main, 10)
      assert.equal(await rewind(bench, held, 6), 'committed')
      const late = progress(bench, held.main.generation, 10, 11)
      assert.equal(await bench.two.commit(unit({ progress: late })), 'stale')
      const next = orderOf(bench, held.order, 9)
      assert.equal(await bench.one.rewind(next, back(bench, held.main, 0)), 'stale')
      assert.deepEqual(await standing(bench), { position: 6, finished: [], sequences: {} })
      assert.equal((await standing(bench, orders(bench))).position, 5, 'nor is its order finished')
    },
  },
  {
    id: 'database.rewind.once',
    title:
      'an order that is finished is a duplicate, one of an older generation is stale; then nothing goes back',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const held = await hold(bench)
      await finish(bench, held.main, 10)
      const order = orderOf(bench, held.order)
      assert.equal(await bench.one.commit(unit({ progress: order })), 'committed')
      assert.equal(await rewind(bench, held, 6), 'duplicate')
      await bench.two.acquire(orders(bench), bench.group, 0)
      const other = orderOf(bench, held.order, 9)
      assert.equal(await bench.one.rewind(other, back(bench, held.main, 6)), 'stale')
      assert.deepEqual(await standing(bench), { position: 10, finished: [], sequences: { p: 3 } })
    },
  },
  {
    id: 'database.rewind.apart',
    title: 'other partitions, groups and streams stay where they are',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const others = [
        { ...bench, group: `${bench.group}x` },
        { ...bench, stream: `${bench.stream}x` },
      ]
      for (const other of others) await finish(other, await acquire(other), 10, [12])
      const held = await hold(bench)
      await finish(bench, held.main, 10, [12])
      assert.equal(await rewind(bench, held, 3), 'committed')
      for (const other of others)
        assert.deepEqual(await standing(other), { position: 10, finished: [12], sequences: { p: 3 } })
    },
  },
]
