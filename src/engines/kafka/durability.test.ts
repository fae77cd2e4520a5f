import { expect, test } from 'vitest'
import { type Found, join, judge, requirePowerLoss } from './durability.ts'

const good: Found = {
  what: 'new topics',
  replicas: 3,
  minInSync: 2,
  flushMessages: undefined,
  uncleanElection: false,
  hosts: 3,
}

test('three replicas of which two must have a record outlive a power failure of one machine', () => {
  expect(judge(good)).toMatchObject({ level: 'power-loss', weaknesses: [] })
  expect(() => requirePowerLoss(judge(good))).not.toThrow()
})

test.each([
  ['one replica', { replicas: 1, minInSync: 1 }, /one replica/],
  ['one in sync is enough', { minInSync: 1 }, /min\.insync\.replicas=1/],
  ['all brokers on one host', { hosts: 1 }, /same host/],
  ['unclean elections', { uncleanElection: true }, /unclean/],
])('%s: only the process may die, and the weakness is told', (_name, weak, words) => {
  const found = judge({ ...good, ...weak })
  expect(found.level).toBe('process')
  expect(found.weaknesses).toEqual([expect.stringMatching(words)])
  expect(() => requirePowerLoss(found)).toThrow(expect.objectContaining({ code: 'DURABILITY' }))
})

test('a broker that flushes every record before it acknowledges needs no second one', () => {
  expect(judge({ ...good, replicas: 1, minInSync: 1, hosts: 1, flushMessages: 1 })).toMatchObject({
    level: 'power-loss',
    weaknesses: [],
  })
})

test('what was found later can only weaken', () => {
  const weak = judge({ ...good, what: 'topic orders', replicas: 1, minInSync: 1 })
  const both = join(join(judge(good), weak), judge({ ...good, what: 'topic other' }))
  expect(both.level).toBe('process')
  expect(both.weaknesses).toEqual(weak.weaknesses)
})
