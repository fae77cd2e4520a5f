// The roster by its promises: whoever comes and goes, every partition has one owner, shares are even, few move.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyRoster, enter, exit, type Roster, release } from './assignment.ts'

const step = fc.oneof(
  fc.record({ kind: fc.constant('enter' as const), id: fc.nat(7) }),
  fc.record({ kind: fc.constant('exit' as const), id: fc.nat(7) }),
  fc.record({ kind: fc.constant('release' as const), id: fc.nat(7) }),
)

function revokingOf(roster: Roster, id: string): ReadonlyMap<number, number> {
  const shares = [...roster.shares.entries()]
  return new Map(
    shares.filter(([, it]) => it.owner === id && it.revoking).map(([at, { epoch }]) => [at, epoch]),
  )
}

function settle(start: Roster): Roster {
  let roster = start
  for (const { id } of start.members) roster = release(roster, id, revokingOf(roster, id)) ?? roster
  return roster
}

test('partitions are given to members only, never taken before they are given back, and epochs rise', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 30 }), (partitions, steps) => {
      let roster = emptyRoster(partitions)
      for (const { kind, id: number } of steps) {
        const id = `m${number}`
        const before = roster
        if (kind === 'enter') roster = enter(roster, { id, sessionMs: 1_000 }) ?? roster
        else if (kind === 'exit') roster = exit(roster, [id]) ?? roster
        else roster = release(roster, id, revokingOf(roster, id)) ?? roster
        const members = new Set(roster.members.map((member) => member.id))
        for (const [at, share] of roster.shares.entries()) {
          const was = before.shares[at]!
          if (share.owner !== null) expect(members).toContain(share.owner)
          if (members.size > 0 && share.owner === null) expect.fail('a partition is left over')
          if (share.owner !== was.owner && share.owner !== null) {
            expect(share.epoch).toBe(was.epoch + 1)
            const gone = was.owner !== null && !members.has(was.owner)
            expect(was.owner === null || was.revoking || gone).toBe(true)
          }
        }
      }
      const settled = settle(roster)
      const counts = settled.members.map(
        ({ id }) => settled.shares.filter(({ owner }) => owner === id).length,
      )
      if (counts.length > 0) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }),
    { numRuns: 500 },
  )
})

test('a newcomer takes no more than its share, and the others keep theirs', () => {
  let roster = emptyRoster(6)
  for (const id of ['a', 'b']) roster = settle(enter(roster, { id, sessionMs: 1 })!)
  const owners = roster.shares.map(({ owner }) => owner)
  roster = settle(enter(roster, { id: 'c', sessionMs: 1 })!)
  const moved = roster.shares.filter(({ owner }, at) => owner !== owners[at])
  expect(moved.length).toBe(2)
  expect(moved.every(({ owner }) => owner === 'c')).toBe(true)
})

test('a release in an older epoch does nothing', () => {
  const roster = enter(emptyRoster(2), { id: 'a', sessionMs: 1 })!
  expect(release(roster, 'a', new Map([[0, 0]]))).toBeUndefined()
  expect(exit(roster, ['nobody'])).toBeUndefined()
  expect(enter(roster, { id: 'a', sessionMs: 1 })).toBeUndefined()
})
