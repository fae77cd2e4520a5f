// The table of buckets against a Map; what happens when there is no room; and that all bits of a tag are looked at.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketOf } from '../../core/bucket/algorithm.ts'
import { logOf } from '../../core/bucket/log.ts'
import { KeyHash } from './key-hash.ts'
import { Table } from './table.ts'

const log = logOf(3, 1_000_000)
const arithmetic = bucketOf(log)

/** Takes a unit of a key if there is one. */
function asker(table: Table, hash: KeyHash) {
  return (key: string, nowUs: number): boolean => {
    hash.of(key)
    const found = table.find(hash, nowUs)
    if (arithmetic.available(table.numbers, table.at, log, nowUs) < 1) return false
    if (!found) table.add(hash, nowUs)
    arithmetic.take(table.numbers, table.at, log, nowUs, 1)
    return true
  }
}

test('a table is a map from keys to buckets, whatever grows, splits and is freed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(20_000), fc.nat(3)), { minLength: 4_000, maxLength: 12_000, size: 'max' }),
      (asks) => {
        const ask = asker(new Table(arithmetic, () => log, 1_000_000), new KeyHash())
        const units = new Map<number, number[]>()
        let nowUs = 5_000_000
        for (const [key, step] of asks) {
          nowUs += step === 3 ? 1_000 : 0
          const times = (units.get(key) ?? []).filter((each) => each > nowUs - 1_000_000)
          assert.equal(ask(`key ${key}`, nowUs), times.length < 3)
          if (times.length < 3) times.push(nowUs)
          units.set(key, times)
        }
      },
    ),
    { numRuns: 5 },
  )
})

test('what is idle is forgotten: a table does not grow with all keys that there ever were', () => {
  const table = new Table(arithmetic, () => log, 1_000_000)
  const ask = asker(table, new KeyHash())
  for (let n = 0; n < 200_000; n++) assert.ok(ask(`${n}`, n * 1_000))
  // A thousand are busy at a time.
  expect(table.used).toBeLessThan(5_000)
})

test('when it is full, new keys are bounded together, those who have a bucket keep it, and nothing is minted', () => {
  const table = new Table(arithmetic, () => log, 1_000)
  const ask = asker(table, new KeyHash())
  for (let n = 0; n < 1_000; n++) assert.ok(ask(`old ${n}`, 1))
  const flood = Array.from({ length: 5_000 }, (_, n) => ask(`new ${n}`, 2)).filter(Boolean)
  expect([flood.length, table.used, table.overflowed]).toEqual([3, 1_000, 3])
  for (let n = 0; n < 1_000; n++)
    assert.deepEqual([ask(`old ${n}`, 3), ask(`old ${n}`, 3), ask(`old ${n}`, 3)], [true, true, false])
  // When the old ones are idle there is room, and whoever went by the common bucket takes with him what was taken from it.
  const later = Array.from({ length: 5_000 }, (_, n) => ask(`new ${n % 50}`, 1_000_001)).filter(Boolean)
  expect(later.length).toBe(0)
  const free = Array.from({ length: 600 }, (_, n) => ask(`new ${n % 50}`, 2_500_000)).filter(Boolean)
  expect(free.length).toBe(150)
})

test('a place that is held is never left behind: while any is, new keys share', () => {
  const held = { kind: 'concurrency', limit: 2 } as const
  const table = new Table(bucketOf(held), () => held, 1)
  const hash = new KeyHash()
  let nowUs = 1
  const look = (key: string) => {
    nowUs += 1_000_000
    hash.of(key)
    return table.find(hash, nowUs)
  }
  look('a')
  table.add(hash, 1)
  bucketOf(held).take(table.numbers, table.at, held, 1, 1)
  look('b')
  assert.ok(table.shared)
  table.add(hash, 1)
  bucketOf(held).take(table.numbers, table.at, held, 1, 1)
  look('a')
  bucketOf(held).refund(table.numbers, table.at, held, 1, 1, 1)
  for (let n = 0; n < 100; n++) look('c')
  assert.ok(table.shared, 'there is room now, and b still holds its place in the bucket that is shared')
  table.findShared()
  bucketOf(held).refund(table.numbers, table.at, held, 1, 1, 1)
  look('b')
  assert.ok(!table.shared)
})

test('keys that share all but one word of their hash have buckets of their own', () => {
  class Cut extends KeyHash {
    override of(text: string): void {
      ;[this.w0, this.w1, this.w2, this.w3] = [7, 7, 7, 7]
      const [word, value] = text.split(' ')
      if (word === '1') this.w1 = Number(value)
      if (word === '2') this.w2 = Number(value)
      if (word === '3') this.w3 = Number(value)
      if (word === '0') this.w0 = Number(value)
    }
  }
  const ask = asker(new Table(arithmetic, () => log, 1_000_000), new Cut())
  for (const word of [0, 1, 2, 3])
    for (let n = 100; n < 300; n++) {
      const answers = [1, 2, 3, 4].map(() => ask(`${word} ${n}`, 1))
      assert.deepEqual(answers, [true, true, true, false])
    }
})
