// Giving partitions back: with time to finish, bounded; and members that die or stall.
import assert from 'node:assert/strict'
import { eventually, pass, within } from '../wait.ts'
import { committed, type GroupBench, type GroupCase, groupBench } from './bench.ts'
import { balanced, dismiss, Member } from './member.ts'

async function holdsAll(bench: GroupBench, member: Member, ms: number): Promise<void> {
  await eventually('one member holds everything', () => assert.equal(member.held.size, bench.partitions), ms)
}

export const revocationCases: readonly GroupCase[] = [
  {
    id: 'groups.revoked.waits',
    title:
      'revoked partitions go to another member only after the promise, and what was committed by then comes along',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      let drained = 0
      const results: string[] = []
      const first = await Member.join(bench, bench.one, {
        draining: async (partitions, member) => {
          await pass(bench.sessionMs / 4)
          const positions = partitions.map((partition) => ({ partition, position: 40 + partition }))
          results.push(...(await member.commit(positions)))
          drained = performance.now()
        },
      })
      await balanced(bench, [first])
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [first, second])
      assert.ok(drained > 0, 'revoked was called and waited for')
      assert.deepEqual(
        new Set(results),
        new Set(['committed']),
        'what is being given back may still be committed',
      )
      const [moved] = second.partitions()
      assert.equal(second.held.get(moved!), 40 + moved!)
      assert.ok(first.revocations.every(({ lost }) => !lost))
      await dismiss(bench, [first, second])
    },
  },
  {
    id: 'groups.revoked.at-most-session',
    title:
      'the engine waits at most sessionMs for the promise; then the partitions are gone and commits of them stale',
    requires: ['stream.fencing'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const release = Promise.withResolvers<void>()
      const stuck = await Member.join(bench, bench.one, { forfeits: true, draining: () => release.promise })
      await balanced(bench, [stuck])
      await stuck.commit([0, 1].map((partition) => ({ partition, position: 10 })))
      const other = await Member.join(bench, bench.two)
      try {
        await eventually(
          'the other gets its share',
          () => assert.ok(other.held.size >= 1),
          bench.sessionMs + bench.patienceMs,
        )
        const [moved] = other.partitions()
        assert.deepEqual(await stuck.commit([{ partition: moved!, position: 99 }]), ['stale'])
        assert.equal((await committed(bench, bench.two))[moved!], 10)
        assert.deepEqual(await other.commit([{ partition: moved!, position: 11 }]), ['committed'])
      } finally {
        release.resolve()
      }
      await within(2 * bench.patienceMs, 'leaving', Promise.all([stuck.leave(), other.leave()]))
    },
  },
  {
    id: 'groups.revoked.rejects',
    title: 'a revoked that rejects counts as given back',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const first = await Member.join(bench, bench.one, { rejects: true })
      await balanced(bench, [first])
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [first, second])
      assert.ok(first.revocations.length > 0)
      await dismiss(bench, [first, second])
    },
  },
  {
    id: 'groups.leave.at-most-session',
    title: 'leave waits at most sessionMs for revoked; then the partitions are free and commits stale',
    requires: ['stream.fencing'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const release = Promise.withResolvers<void>()
      const stuck = await Member.join(bench, bench.one, { forfeits: true, draining: () => release.promise })
      await balanced(bench, [stuck])
      try {
        await within(bench.sessionMs + bench.patienceMs, 'leaving', stuck.leave())
        assert.deepEqual(await stuck.commit([{ partition: 0, position: 99 }]), ['stale'])
        const other = await Member.join(bench, bench.two)
        await balanced(bench, [other])
        assert.deepEqual([...other.held.values()], [null, null])
        await dismiss(bench, [other])
      } finally {
        release.resolve()
      }
    },
  },
  {
    id: 'groups.died',
    title: 'a member that is not heard from for sessionMs is dead: its partitions pass to the others',
    requires: ['stream', 'process'],
    async run(subject) {
      const bench = await groupBench(subject, 4)
      const dying = await subject.access.startMember!(bench.stream, bench.group, bench.sessionMs)
      try {
        const staying = await Member.join(bench, bench.one)
        await eventually(
          'the members share the partitions',
          async () => assert.deepEqual([(await dying.held()).length, staying.held.size], [2, 2]),
          2 * bench.patienceMs,
        )
        await dying.kill()
        await holdsAll(bench, staying, bench.sessionMs + bench.patienceMs)
        await dismiss(bench, [staying])
      } finally {
        await dying.kill()
      }
    },
  },
  {
    id: 'groups.stalled',
    title:
      'a member that stalls for longer than sessionMs loses its partitions: it learns it, and its commits are stale',
    requires: ['stream.fencing', 'process'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const stalling = await subject.access.startMember!(bench.stream, bench.group, bench.sessionMs)
      try {
        await eventually(
          'the first member holds everything',
          async () => assert.equal((await stalling.held()).length, 2),
          2 * bench.patienceMs,
        )
        const both = [0, 1].map((partition) => ({ partition, position: 10 }))
        assert.deepEqual(await stalling.commit(both), ['committed', 'committed'])
        stalling.pause()
        const other = await Member.join(bench, bench.two)
        await holdsAll(bench, other, bench.sessionMs + 2 * bench.patienceMs)
        assert.deepEqual([other.held.get(0), other.held.get(1)], [10, 10])
        const further = [0, 1].map((partition) => ({ partition, position: 20 }))
        assert.deepEqual(await other.commit(further), ['committed', 'committed'])
        stalling.resume()
        const late = await stalling.commit([0, 1].map((partition) => ({ partition, position: 15 })))
        assert.deepEqual(late, ['stale', 'stale'])
        assert.deepEqual(await committed(bench, bench.one), [20, 20])
        await eventually(
          'it learns that it lost them',
          async () => assert.deepEqual([...(await stalling.lost())].sort(), [0, 1]),
          bench.patienceMs,
        )
        await stalling.kill()
        await holdsAll(bench, other, bench.sessionMs + bench.patienceMs)
        await dismiss(bench, [other])
      } finally {
        await stalling.kill()
      }
    },
  },
]
