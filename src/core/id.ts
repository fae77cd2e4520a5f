// Time-ordered ids: UUID version 7 (RFC 9562, section 6.2, method 1: a counter in the bits after the time).
import { randomFillSync } from 'node:crypto'
import { type Clock, systemClock } from './clock.ts'

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const pool = Buffer.alloc(4096)
let used = pool.length
let lastMs = 0
let counter = 0

/**
 * A new id. Ids of one process sort in the order of their making, also when the clock steps back:
 * the time part never decreases, and a 12-bit counter orders the ids of one millisecond.
 */
export function newId(clock: Clock = systemClock): string {
  const now = clock.now()
  if (now > lastMs) {
    lastMs = now
    counter = 0
  } else if (++counter > 0xfff) {
    lastMs += 1
    counter = 0
  }
  if (used + 8 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const high = Math.floor(lastMs / 0x10000)
  const low = lastMs % 0x10000
  const at = used
  used += 8
  const byte = (index: number) => hex[pool[at + index]!]!
  return (
    high.toString(16).padStart(8, '0') +
    '-' +
    low.toString(16).padStart(4, '0') +
    '-7' +
    counter.toString(16).padStart(3, '0') +
    '-' +
    hex[(pool[at]! & 0x3f) | 0x80]! +
    byte(1) +
    '-' +
    byte(2) +
    byte(3) +
    byte(4) +
    byte(5) +
    byte(6) +
    byte(7)
  )
}
