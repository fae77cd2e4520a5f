import { expect, test } from 'vitest'
import { SqliteMembership } from './membership.ts'
import type { Storage } from './storage.ts'
import type { MemberNotice, Operation } from './wire.ts'

/** A membership with its calls in order, and a storage that only notes what it is asked. */
function membership(revoking: () => Promise<void> = async () => {}, sessionMs = 1000) {
  const calls: string[] = []
  const storage = {
    ask: async (operation: Operation) => {
      calls.push(operation.kind)
      return operation.kind === 'commit' ? operation.positions : null
    },
    hold() {},
    release() {},
  }
  const member = new SqliteMembership(
    storage as unknown as Storage,
    1,
    {
      sessionMs,
      assigned: (partitions) => calls.push(`assigned ${partitions.map(({ partition }) => partition)}`),
      async revoked(partitions, lost) {
        calls.push(`${lost ? 'lost' : 'revoked'} ${partitions}`)
        await revoking()
        calls.push('told')
      },
      failed: (error) => calls.push(`failed ${error.message}`),
    },
    () => calls.push('gone'),
  )
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
  return { member, calls, settled }
}

const assigned = (...partitions: number[]): MemberNotice => ({
  change: 'assigned',
  member: 1,
  partitions,
  generations: partitions.map(() => 1),
  committed: partitions.map(() => null),
})
const revoked = (lost: boolean, ...partitions: number[]): MemberNotice => ({
  change: 'revoked',
  member: 1,
  partitions,
  lost,
})

test('what is asked for is given up when the owner is done with it', async () => {
  const { member, calls, settled } = membership()
  member.notice(assigned(0, 1))
  member.notice(revoked(false, 1))
  await settled()
  expect(calls).toEqual(['assigned 0,1', 'revoked 1', 'told', 'givenUp'])
})

test('what was asked for, but is lost before the owner could be told, is told as lost, and once', async () => {
  const { member, calls, settled } = membership()
  member.notice(assigned(0, 1))
  member.notice(revoked(false, 1))
  member.notice(revoked(true, 0, 1))
  await settled()
  expect(calls).toEqual(['assigned 0,1', 'lost 1', 'told', 'lost 0', 'told', 'rejoin'])
})

test('what comes back after a loss can be asked for again', async () => {
  const { member, calls, settled } = membership()
  for (const notice of [assigned(0), revoked(true, 0), assigned(0), revoked(false, 0)]) member.notice(notice)
  await settled()
  expect(calls).toEqual([
    'assigned 0',
    'lost 0',
    'told',
    'rejoin',
    'assigned 0',
    'revoked 0',
    'told',
    'givenUp',
  ])
})

test('the owner is told of one change after the other', async () => {
  let go = () => {}
  const { member, calls, settled } = membership(() => new Promise((resolve) => (go = resolve)))
  member.notice(assigned(0))
  member.notice(revoked(false, 0))
  member.notice(assigned(1))
  await settled()
  expect(calls).toEqual(['assigned 0', 'revoked 0'])
  go()
  await settled()
  expect(calls).toEqual(['assigned 0', 'revoked 0', 'told', 'givenUp', 'assigned 1'])
})

test('commits carry the generation that the owner was told; of what it does not have, none', async () => {
  const { member, settled } = membership()
  member.notice(assigned(0))
  await settled()
  // The storage of this test answers with what it was asked: partition, generation, position.
  expect(await member.commit([{ partition: 0, position: 7 }])).toEqual(['stale', 'committed', 'stale'])
  expect(await member.commit([{ partition: 3, position: 7 }])).toEqual(['stale', 'stale', 'stale'])
})

test('closing calls nobody; leaving tells the owner first', async () => {
  const closed = membership()
  closed.member.notice(assigned(0))
  await closed.settled()
  await closed.member.close()
  expect(closed.calls).toEqual(['assigned 0', 'leave'])
  const left = membership()
  left.member.notice(assigned(0))
  await left.settled()
  await left.member.leave()
  expect(left.calls).toEqual(['assigned 0', 'revoked 0', 'told', 'leave', 'gone'])
})

test('leaving waits for an owner whose session is longer than a timer takes', async () => {
  const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 50))
  const { member, calls, settled } = membership(slow, 1e10)
  member.notice(assigned(0))
  await settled()
  await member.leave()
  expect(calls).toEqual(['assigned 0', 'revoked 0', 'told', 'leave', 'gone'])
})
