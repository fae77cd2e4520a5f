// Time-ordered ids: UUID version 7 (RFC 9562, section 6.2, method 1: a counter in the bits after the time).
import { randomFillSync } from 'node:crypto'
import { type Clock, systemClock } from './clock.ts'

const hex = '0123456789abcdef'
const high = Buffer.from(Array.from({ length: 256 }, (_, byte) => hex.charCodeAt(byte >> 4)))
const low = Buffer.from(Array.from({ length: 256 }, (_, byte) => hex.charCodeAt(byte & 15)))
const pool = Buffer.alloc(4096)
let used = pool.length
let lastMs = 0
let counter = 0
/** The last id: written over, because a text made of one piece is cheaper to make and to store than one of many. */
const text = Buffer.alloc(36, '-')

/**
 * A new id. Ids of one process sort in the order of their making, also when the clock steps back:
 * the time part never decreases, and a 12-bit counter orders the ids of one millisecond.
 */
export function newId(clock: Clock = systemClock): string {
  const now = clock.now()
  if (now > lastMs) {
    setTime(now)
  } else if (++counter > 0xfff) {
    setTime(lastMs + 1)
  }
  if (used + 8 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  text[15] = low[counter >> 8]!
  writeByte(counter & 0xff, 16)
  writeByte((pool[used]! & 0x3f) | 0x80, 19)
  writeByte(pool[used + 1]!, 21)
  for (let i = 2, at = 24; i < 8; i++, at += 2) writeByte(pool[used + i]!, at)
  used += 8
  return text.toString('latin1')
}

function setTime(ms: number): void {
  lastMs = ms
  counter = 0
  const digits = ms.toString(16).padStart(12, '0')
  text.write(`${digits.slice(0, 8)}-${digits.slice(8)}-7`, 'latin1')
}

function writeByte(byte: number, at: number): void {
  text[at] = high[byte]!
  text[at + 1] = low[byte]!
}
