// Committing positions: by the one that holds the partition, and by nobody else.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { numbers } from '../sample.ts'
import { committed, type GroupCase, groupBench } from './bench.ts'
import { balanced, dismiss, Member } from './member.ts'

export const commitCases: readonly GroupCase[] = [
  {
    id: 'groups.committed.none',
    title: 'committed gives null for every partition of a group that never committed',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 3)
      assert.deepEqual(await committed(bench, bench.one), [null, null, null])
    },
  },
  {
    id: 'groups.commit.stores',
    title:
      'commit stores positions for every process to see; they may be lower than before, and as large as 2^53 - 1',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 3)
      const member = await Member.join(bench, bench.one)
      await balanced(bench, [member])
      const both = [
        { partition: 2, position: Number.MAX_SAFE_INTEGER },
        { partition: 0, position: 12 },
      ]
      assert.deepEqual(await member.commit(both), ['committed', 'committed'])
      assert.deepEqual(await committed(bench, bench.two), [12, null, Number.MAX_SAFE_INTEGER])
      assert.deepEqual(await member.commit([{ partition: 0, position: 3 }]), ['committed'])
      assert.deepEqual(await member.commit([{ partition: 1, position: 0 }]), ['committed'])
      assert.deepEqual(await committed(bench, bench.one), [3, 0, Number.MAX_SAFE_INTEGER])
      assert.deepEqual(await member.commit([]), [])
      await dismiss(bench, [member])
      assert.deepEqual(await committed(bench, bench.two), [3, 0, Number.MAX_SAFE_INTEGER], 'they outlive it')
    },
  },
  {
    id: 'groups.commit.handed-on',
    title: 'who is assigned a partition gets the committed position with it',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 3)
      const first = await Member.join(bench, bench.one)
      await balanced(bench, [first])
      await first.commit([
        { partition: 0, position: 5 },
        { partition: 2, position: 9 },
      ])
      await first.leave()
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [second])
      assert.deepEqual(
        numbers(3).map((partition) => second.held.get(partition)),
        [5, null, 9],
      )
      await dismiss(bench, [first, second])
    },
  },
  {
    id: 'groups.commit.numbers',
    title: 'positions out of range are refused before anything is done: INVALID_OPTION',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const member = await Member.join(bench, bench.one)
      await balanced(bench, [member])
      await member.commit([{ partition: 0, position: 7 }])
      for (const position of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
        const both = [
          { partition: 0, position: 8 },
          { partition: 1, position },
        ]
        await refused('INVALID_OPTION', () => member.commit(both), `the position ${position}`)
      }
      assert.deepEqual(await committed(bench, bench.two), [7, null])
      await dismiss(bench, [member])
    },
  },
  {
    id: 'groups.commit.stale',
    title:
      'a commit for a partition of another member is stale, and its position stays; results stand in order',
    requires: ['stream.fencing'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const first = await Member.join(bench, bench.one)
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [first, second])
      const [own] = first.partitions()
      const [other] = second.partitions()
      assert.deepEqual(await second.commit([{ partition: other!, position: 4 }]), ['committed'])
      const mixed = [
        { partition: other!, position: 100 },
        { partition: own!, position: 6 },
      ]
      assert.deepEqual(await first.commit(mixed), ['stale', 'committed'])
      assert.deepEqual(await first.commit([...mixed].reverse()), ['committed', 'stale'])
      assert.deepEqual(await committed(bench, bench.one), own! < other! ? [6, 4] : [4, 6])
      await dismiss(bench, [first, second])
    },
  },
  {
    id: 'groups.commit.stale.moved',
    title: 'a commit for a partition that is no longer its own is stale: after it moved, and after leaving',
    requires: ['stream.fencing'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const first = await Member.join(bench, bench.one)
      await balanced(bench, [first])
      await first.commit(numbers(2).map((partition) => ({ partition, position: 10 })))
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [first, second])
      const [moved] = second.partitions()
      assert.deepEqual(await first.commit([{ partition: moved!, position: 99 }]), ['stale'])
      await first.leave()
      await balanced(bench, [second])
      const both = numbers(2).map((partition) => ({ partition, position: 99 }))
      assert.deepEqual(await first.commit(both), ['stale', 'stale'])
      assert.deepEqual(await committed(bench, bench.two), [10, 10])
      assert.deepEqual(await second.commit([{ partition: 0, position: 11 }]), ['committed'])
      await dismiss(bench, [second])
    },
  },
]
