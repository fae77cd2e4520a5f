// Which partition a key belongs to: the same on every engine, and the same as Kafka's own Java clients,
// so that a stream can move between engines and be written by others without breaking the order per key.

/** The partitions of a stream that nobody gave a number. */
export const defaultPartitions = 8

/** MurmurHash2, 32 bit, seed 0x9747b28c, by Austin Appleby (public domain), as Kafka's DefaultPartitioner uses it. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const length = data.length
  let h = (0x9747b28c ^ length) | 0
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length & 3
  if (rest === 3) h ^= data[whole + 2]! << 16
  if (rest >= 2) h ^= data[whole + 1]! << 8
  if (rest >= 1) h = Math.imul(h ^ data[whole]!, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  h ^= h >>> 15
  return h
}

const encoder = new TextEncoder()

/** The partition of a key, from 0 to `partitions` - 1. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(encoder.encode(key)) & 0x7fffffff) % partitions
}
