import { expect, test } from 'vitest'
import { type Found, judge, requirePowerLoss } from './durability.ts'

const good: Found = {
  version: '7.0.15',
  isCluster: false,
  replicas: 0,
  appendOnly: true,
  appendFsync: 'always',
  save: '',
  maxMemory: 0,
  evicts: 'noeviction',
}

test('a server alone that syncs before it answers outlives a power failure', () => {
  expect(judge(good)).toMatchObject({ level: 'power-loss', weaknesses: [] })
  expect(judge({ ...good, maxMemory: 1_000 }).level).toBe('power-loss')
  expect(() => requirePowerLoss(judge(good))).not.toThrow()
})

test.each([
  ['syncs later', { appendFsync: 'everysec' }, 'process', /appendfsync everysec/],
  ['does not tell', { appendFsync: undefined }, 'process', /does not tell/],
  ['has replicas', { replicas: 2 }, 'process', /failover/],
  ['is a cluster', { isCluster: true }, 'process', /failover/],
  ['writes snapshots', { appendOnly: false, save: '3600 1' }, 'none', /snapshots only \(save 3600 1\)/],
  ['keeps nothing', { appendOnly: false }, 'none', /every bucket is full/],
  ['drops keys', { maxMemory: 1, evicts: 'allkeys-lru' }, 'none', /maxmemory-policy allkeys-lru/],
] as const)('a server that %s: the weakness is told', (_name, weak, level, words) => {
  const found = judge({ ...good, ...weak })
  expect(found.level).toBe(level)
  expect(found.weaknesses).toEqual([expect.stringMatching(words)])
  expect(() => requirePowerLoss(found)).toThrow(expect.objectContaining({ code: 'DURABILITY' }))
})

test('the weakest of several decides', () => {
  const found = judge({ ...good, appendOnly: false, replicas: 1 })
  expect([found.level, found.weaknesses.length]).toEqual(['none', 2])
})
