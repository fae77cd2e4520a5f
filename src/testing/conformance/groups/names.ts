// Listing the groups of a stream.
import assert from 'node:assert/strict'
import { eventually } from '../wait.ts'
import { type GroupCase, groupBench, otherGroup } from './bench.ts'
import { balanced, dismiss, Member } from './member.ts'

export const nameCases: readonly GroupCase[] = [
  {
    id: 'groups.names',
    title: 'groups tells those of the stream that have a member, sorted, to every handle; at first none',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 2)
      const elsewhere = await groupBench(subject, 1)
      assert.deepEqual(await bench.one.groups(bench.stream), [])
      assert.deepEqual(await bench.one.committed(bench.stream, 'asked.for'), [null, null].map(empty))
      const groups = [`${bench.group}.b-2`, bench.group, `${bench.group}.A_1`]
      const joined = groups.map((group) => otherGroup(bench, { group }))
      const members = await Promise.all(joined.map((each) => Member.join(each, bench.one)))
      const other = await Member.join(elsewhere, elsewhere.one)
      for (const port of [bench.one, bench.two])
        await eventually('all are named', async () =>
          assert.deepEqual(await port.groups(bench.stream), [...groups].sort()),
        )
      for (const [index, member] of members.entries()) await dismiss(joined[index]!, [member])
      await dismiss(elsewhere, [other])
    },
  },
  {
    id: 'groups.names.committed',
    title: 'groups tells those that have a committed position when their members are gone',
    requires: ['stream'],
    async run(subject) {
      const bench = await groupBench(subject, 1)
      const member = await Member.join(bench, bench.one)
      await balanced(bench, [member])
      assert.deepEqual(await member.commit([{ partition: 0, position: 7 }]), ['committed'])
      await dismiss(bench, [member])
      await eventually('it is named', async () =>
        assert.deepEqual(await bench.two.groups(bench.stream), [bench.group]),
      )
    },
  },
]

function empty(position: null, partition: number): { partition: number; position: null } {
  return { partition, position }
}
