import { expect, test } from 'vitest'
import { durabilityOf, refuseWeak } from './durability.ts'

const full = {
  synchronous_commit: 'on',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_standby_names: '',
}

test.each([
  [{}, 'power-loss', 0],
  [{ synchronous_commit: 'local' }, 'power-loss', 0],
  [{ synchronous_commit: 'remote_apply', synchronous_standby_names: 'a, b' }, 'power-loss', 0],
  [{ full_page_writes: 'off' }, 'process', 1],
  [{ fsync: 'off' }, 'process', 1],
  [{ synchronous_commit: 'off' }, 'none', 1],
  [{ synchronous_commit: 'off', fsync: 'off', full_page_writes: 'off' }, 'none', 3],
] as const)('%o is %s', (settings, level, weaknesses) => {
  const durability = durabilityOf({ ...full, ...settings })
  expect(durability.level).toBe(level)
  expect(durability.weaknesses).toHaveLength(weaknesses)
  for (const weakness of durability.weaknesses) expect(weakness).toMatch(/; set \w+=on\.$/)
})

test('strict mode refuses all that is less than the full promise, and says why', () => {
  refuseWeak(durabilityOf(full), 'postgres://here/db')
  const weak = durabilityOf({ ...full, fsync: 'off' })
  expect(() => refuseWeak(weak, 'postgres://here/db')).toThrow(
    /postgres:\/\/here\/db .*fsync=off.*\[DURABILITY\]/,
  )
})

test('the statement says whether a standby is waited for', () => {
  expect(durabilityOf(full).statement).toContain('no standby is waited for')
  expect(durabilityOf({ ...full, synchronous_standby_names: 'paris' }).statement).toContain('(paris)')
})
