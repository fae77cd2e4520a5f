import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assign, type Claimant } from './assignment.ts'

/** Plays rounds as members do: what a round does not give any more is let go of, and then there is another round. */
function settle(
  partitions: number,
  members: Map<string, readonly number[]>,
): { rounds: number; moved: number } {
  let moved = 0
  for (let rounds = 1; ; rounds++) {
    expect(rounds).toBeLessThan(5)
    const before = new Map(members)
    const claims: Claimant[] = [...members].map(([memberId, held]) => ({
      memberId,
      held,
      generation: rounds,
    }))
    const shares = assign(partitions, claims)
    let again = false
    for (const [memberId, share] of shares) {
      const held = before.get(memberId)!
      // Never in two hands: whoever gets a partition held it before, or nobody did.
      for (const [other, theirs] of before)
        if (other !== memberId) expect(share.filter((partition) => theirs.includes(partition))).toEqual([])
      again ||= held.some((partition) => !share.includes(partition))
      moved += held.filter((partition) => !share.includes(partition)).length
      members.set(memberId, share)
    }
    if (!again) return { rounds, moved }
  }
}

function expectEven(partitions: number, members: ReadonlyMap<string, readonly number[]>): void {
  const all = [...members.values()].flat().sort((a, b) => a - b)
  expect(all).toEqual(Array.from({ length: partitions }, (_, index) => index))
  const sizes = [...members.values()].map((held) => held.length)
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
}

test('members that come and go end with even shares of all partitions, in at most two rounds', () => {
  const step = fc.oneof(fc.record({ join: fc.integer({ min: 1, max: 3 }) }), fc.record({ leave: fc.nat() }))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 12 }), (partitions, steps) => {
      const members = new Map<string, readonly number[]>([['m0', []]])
      let joined = 0
      expect(settle(partitions, members).rounds).toBe(1)
      for (const each of steps) {
        if ('join' in each) for (let count = 0; count < each.join; count++) members.set(`m${++joined}`, [])
        else if (members.size > 1) members.delete([...members.keys()][each.leave % members.size]!)
        expect(settle(partitions, members).rounds).toBeLessThanOrEqual(2)
        expectEven(partitions, members)
      }
    }),
    { numRuns: 40 },
  )
})

test('as few partitions move as possible', () => {
  const members = new Map<string, readonly number[]>([['a', []]])
  settle(12, members)
  members.set('b', [])
  expect(settle(12, members).moved).toBe(6)
  members.set('c', [])
  expect(settle(12, members).moved).toBe(4)
  members.delete('a')
  expect(settle(12, members).moved).toBe(0)
})

test('of two that claim the same partition the one with the later generation keeps it; of equals nobody', () => {
  const claim = (memberId: string, held: readonly number[], generation: number) => ({
    memberId,
    held,
    generation,
  })
  expect(assign(2, [claim('a', [0, 1], 4), claim('b', [1], 7)])).toEqual(
    new Map([
      ['a', [0]],
      ['b', [1]],
    ]),
  )
  const contested = assign(1, [claim('a', [0], 4), claim('b', [0], 4)])
  expect([...contested.values()].flat()).toEqual([0])
})

test('more members than partitions: some have none', () => {
  const members = new Map<string, readonly number[]>(['a', 'b', 'c'].map((id) => [id, []]))
  settle(2, members)
  expectEven(2, members)
})
