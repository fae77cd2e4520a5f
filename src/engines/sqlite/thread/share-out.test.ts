import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type PartitionState, shareOut } from './share-out.ts'

const now = 1000

function apply(
  partitions: readonly PartitionState[],
  members: readonly number[],
  at = now,
): PartitionState[] {
  const next = new Map(partitions.map((state) => [state.partition, state]))
  for (const { partition, act, member } of shareOut(partitions, members, at)) {
    const state = next.get(partition)!
    if (act === 'free') next.set(partition, { ...state, member: null, revokeBy: null })
    else if (act === 'give') next.set(partition, { ...state, member, revokeBy: null })
    else next.set(partition, { ...state, revokeBy: at + 500 })
  }
  return [...next.values()]
}

/** As if every member gave up at once what it is asked for. */
function settle(partitions: readonly PartitionState[], members: readonly number[]): PartitionState[] {
  const asked = apply(partitions, members)
  return apply(
    asked.map((state) => (state.revokeBy === null ? state : { ...state, member: null, revokeBy: null })),
    members,
  )
}

const fresh = (count: number): PartitionState[] =>
  Array.from({ length: count }, (_, partition) => ({ partition, member: null, revokeBy: null }))

const owned = (partitions: readonly PartitionState[], member: number) =>
  partitions.filter((state) => state.member === member).map((state) => state.partition)

test('through any coming and going: everything is owned, shares differ by one, nothing is given away unasked', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }), {
        minLength: 1,
        maxLength: 8,
      }),
      (count, rounds) => {
        let partitions = fresh(count)
        for (const members of rounds) {
          const asked = apply(partitions, members)
          for (const [index, { member, revokeBy }] of partitions.entries())
            if (member !== null && members.includes(member)) {
              expect(asked[index]!.member, 'a live member keeps it until it gives it up').toBe(member)
              expect(revokeBy).toBe(null)
            }
          const before = partitions
          partitions = settle(partitions, members)
          const sizes = members.map((member) => owned(partitions, member).length)
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count)
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
          const moved = before.filter(
            ({ member, partition }) =>
              member !== null && members.includes(member) && partitions[partition]!.member !== member,
          ).length
          const must = members.reduce(
            (sum, member) =>
              sum + Math.max(0, owned(before, member).length - Math.ceil(count / members.length)),
            0,
          )
          const may = must + (count % members.length === 0 ? 0 : members.length)
          expect(moved, 'only what is too much moves').toBeLessThanOrEqual(may)
        }
      },
    ),
  )
})

test('a partition that is not given up in time goes to the other member, and not before', () => {
  const one = apply(fresh(2), [1])
  expect(owned(one, 1)).toEqual([0, 1])
  const asked = apply(one, [1, 2])
  expect(owned(asked, 2)).toEqual([])
  expect(owned(apply(asked, [1, 2], now + 499), 2)).toEqual([])
  expect(owned(apply(asked, [1, 2], now + 500), 2)).toEqual([1])
})

test('what a dead member had is given away at once', () => {
  const shared = settle(fresh(4), [1, 2])
  expect(owned(apply(shared, [2]), 2)).toEqual([0, 1, 2, 3])
})

test('without members nothing is owned', () => {
  expect(apply(settle(fresh(3), [1]), []).every(({ member }) => member === null)).toBe(true)
})
