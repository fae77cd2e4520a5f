// Sharing out the partitions of a stream among the members of a group.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import { eventually, pass, soonMs, within } from '../wait.ts'
import { type GroupCase, groupBench, otherGroup } from './bench.ts'
import { balanced, dismiss, Member } from './member.ts'

export const assignmentCases: readonly GroupCase[] = [
  {
    id: 'groups.assigned.alone',
    title: 'a member alone gets every partition, with null for those without a committed position',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 4)
      const member = await Member.join(bench, bench.one)
      await balanced(bench, [member])
      assert.deepEqual([...member.held.values()], [null, null, null, null])
      await dismiss(bench, [member])
    },
  },
  {
    id: 'groups.assigned.even',
    title: 'members of two processes get even shares, and every partition belongs to one of them',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 5)
      const first = await Member.join(bench, bench.one)
      await balanced(bench, [first])
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [first, second])
      const third = await Member.join(bench, bench.one)
      await balanced(bench, [first, second, third])
      await dismiss(bench, [first, second, third])
    },
  },
  {
    id: 'groups.assigned.at-once',
    title: 'members that join at the same time share the partitions, never two for one',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 6)
      const list = await Promise.all(
        numbers(4).map((index) => Member.join(bench, index % 2 ? bench.one : bench.two)),
      )
      await balanced(bench, list)
      await dismiss(bench, list)
    },
  },
  {
    id: 'groups.assigned.more-members',
    title: 'with more members than partitions some hold nothing, and get one when another leaves',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const list: Member[] = []
      for (const index of numbers(3)) list.push(await Member.join(bench, index % 2 ? bench.one : bench.two))
      await balanced(bench, list)
      const leaving = list.find((member) => member.held.size === 1)!
      const staying = list.filter((member) => member !== leaving)
      await within(bench.patienceMs, 'leaving', leaving.leave())
      await balanced(bench, staying)
      await dismiss(bench, list)
    },
  },
  {
    id: 'groups.leave',
    title:
      'leave calls revoked for what is held, waits for it, leaves; it is idempotent; the others get the partitions',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 4)
      let drained = false
      const first = await Member.join(bench, bench.one, {
        draining: async () => {
          await pass(bench.sessionMs / 5)
          drained = true
        },
      })
      await balanced(bench, [first])
      await within(bench.patienceMs, 'leaving', Promise.all([first.leave(), first.leave()]))
      assert.ok(drained, 'leave waits for revoked')
      assert.deepEqual(
        first.revocations.flatMap(({ partitions }) => partitions).sort(),
        [0, 1, 2, 3],
        'everything is given back once',
      )
      assert.ok(first.revocations.every(({ lost }) => !lost))
      await within(soonMs, 'leaving again', first.leave())
      const second = await Member.join(bench, bench.two)
      await balanced(bench, [second])
      assert.equal(first.held.size, 0)
      await dismiss(bench, [first, second])
    },
  },
  {
    id: 'groups.leave.while-joining',
    title: 'a member that leaves before it was assigned anything leaves nothing behind',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const staying = await Member.join(bench, bench.one)
      const leaving = await Member.join(bench, bench.two)
      await within(2 * bench.patienceMs, 'leaving', leaving.leave())
      await balanced(bench, [staying])
      await dismiss(bench, [staying])
      assert.equal(leaving.held.size, 0)
    },
  },
  {
    id: 'groups.apart',
    title: 'groups are apart: each has every partition; so is the same group name on another stream',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 3)
      const others = [
        otherGroup(bench, { group: fresh('group') }),
        otherGroup(bench, { stream: fresh('stream') }),
      ]
      await bench.one.declare({ name: others[1]!.stream, partitions: 3 })
      const list = [bench, ...others].map((each, index) => ({
        each,
        joining: Member.join(each, index % 2 ? bench.two : bench.one),
      }))
      const joined: { each: typeof bench; member: Member }[] = []
      for (const { each, joining } of list) joined.push({ each, member: await joining })
      for (const { each, member } of joined) await balanced(each, [member])
      const [first] = joined
      assert.deepEqual(await first!.member.commit([{ partition: 1, position: 7 }]), ['committed'])
      assert.deepEqual(
        joined.map(({ member }) => member.partitions()),
        [
          [0, 1, 2],
          [0, 1, 2],
          [0, 1, 2],
        ], // all hold theirs at the same time
      )
      for (const { each } of joined.slice(1)) {
        const positions = await bench.two.committed(each.stream, each.group)
        assert.deepEqual(
          positions.map(({ position }) => position),
          [null, null, null],
          'the commit of one is not seen in another',
        )
      }
      for (const { each, member } of joined) await dismiss(each, [member])
    },
  },
  {
    id: 'groups.kept-alive',
    title: 'the engine keeps a membership alive by itself, for longer than the session',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const idle = await Member.join(bench, bench.one)
      const other = await Member.join(bench, bench.two)
      await balanced(bench, [idle, other])
      const before = idle.revocations.length
      await pass(1.6 * bench.sessionMs)
      assert.equal(idle.revocations.length, before, 'nothing was taken from it')
      const [partition] = idle.partitions()
      assert.deepEqual(await idle.commit([{ partition: partition!, position: 1 }]), ['committed'])
      await balanced(bench, [idle, other])
      await dismiss(bench, [idle, other])
    },
  },
  {
    id: 'groups.closed',
    title:
      'at close memberships end without a callback: partitions pass to others, commit rejects with CLOSED, leave resolves',
    requires: ['stream', 'shared storage'],
    async run(subject) {
      const bench = await groupBench(subject, 4)
      const engine = await subject.access.openEngine()
      const closing = await Member.join(bench, engine.stream!, { forfeits: true })
      const staying = await Member.join(bench, bench.one)
      await balanced(bench, [closing, staying])
      const before = closing.revocations.length
      await within(bench.patienceMs, 'close', engine.close())
      await eventually(
        'the other holds everything',
        () => assert.deepEqual(staying.partitions(), [0, 1, 2, 3]),
        bench.patienceMs,
      )
      assert.equal(closing.revocations.length, before, 'no callback at close')
      await refused('CLOSED', () => closing.commit([{ partition: 0, position: 1 }]), 'commit')
      await within(soonMs, 'leave', closing.leave())
      await dismiss(bench, [staying])
    },
  },
]
