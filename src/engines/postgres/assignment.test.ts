import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type PartitionState, plan } from './assignment.ts'

/** Any state that a group can be in: partitions free, held or being revoked, by members that are alive. */
const group = fc
  .record({ members: fc.integer({ min: 1, max: 7 }), partitions: fc.integer({ min: 1, max: 20 }) })
  .chain(({ members, partitions }) => {
    const names = Array.from({ length: members }, (_, index) => `m${index}`)
    const state = fc.record({
      member: fc.option(fc.constantFrom(...names), { nil: undefined }),
      revoking: fc.boolean(),
    })
    return fc.array(state, { minLength: partitions, maxLength: partitions }).map((states) => ({
      members: names,
      partitions: states.map(({ member, revoking }, partition) => ({
        partition,
        member,
        revoking: revoking && member !== undefined,
      })),
    }))
  })

function apply(partitions: readonly PartitionState[], members: readonly string[]): PartitionState[] {
  const { give, revoke } = plan(members, partitions)
  const given = new Map(give.map(({ partition, member }) => [partition, member]))
  return partitions.map((state) => ({
    partition: state.partition,
    member: given.get(state.partition) ?? state.member,
    revoking: state.revoking || revoke.includes(state.partition),
  }))
}

/** What was revoked is given back. */
function giveBack(partitions: readonly PartitionState[]): PartitionState[] {
  return partitions.map((state) =>
    state.revoking ? { ...state, member: undefined, revoking: false } : state,
  )
}

test('when all that is revoked was given back, every partition has a member and shares differ by one at most', () => {
  fc.assert(
    fc.property(group, ({ members, partitions }) => {
      const settled = apply(giveBack(apply(partitions, members)), members)
      const shares = members.map((member) => settled.filter((state) => state.member === member).length)
      expect(settled.every(({ member, revoking }) => member !== undefined && !revoking)).toBe(true)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      expect(plan(members, settled)).toEqual({ give: [], revoke: [] })
    }),
  )
})

test('only free partitions are given, and nobody is asked for more than is above the smallest fair share', () => {
  fc.assert(
    fc.property(group, ({ members, partitions }) => {
      const { give, revoke } = plan(members, partitions)
      for (const { partition } of give) expect(partitions[partition]?.member).toBeUndefined()
      const base = Math.floor(partitions.length / members.length)
      for (const member of members) {
        const kept = partitions.filter((state) => state.member === member && !state.revoking)
        const left = kept.filter(({ partition }) => !revoke.includes(partition))
        if (left.length < kept.length) expect(left.length).toBeGreaterThanOrEqual(base)
      }
    }),
  )
})

test('a member that joins takes from those that have most, and no more than its share moves', () => {
  const held = (members: string) =>
    [...members].map((member, partition) => ({ partition, member, revoking: false }))
  expect(plan(['a', 'b', 'c'], held('aaabbb'))).toEqual({ give: [], revoke: [2, 5] })
  expect(plan(['a', 'b'], held('aaaaa'))).toEqual({ give: [], revoke: [3, 4] })
})
