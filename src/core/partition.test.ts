import { expect, test } from 'vitest'
import { murmur2, partitionOf } from './partition.ts'

// The hashes that Kafka's own clients give (UtilsTest of Apache Kafka checks the same).
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %s', (text, hash) => {
  expect(murmur2(new TextEncoder().encode(text))).toBe(hash)
})

test('a key keeps its partition, and partitions get even shares', () => {
  const counts = new Array<number>(8).fill(0)
  for (let i = 0; i < 8_000; i++) counts[partitionOf(`key-${i}`, 8)]! += 1
  expect(partitionOf('4711', 8)).toBe(partitionOf('4711', 8))
  for (const count of counts) expect(count).toBeGreaterThan(800)
})
