// What is kept of what was read ahead, and what has to go.
import { Buffer } from 'node:buffer'
import * as client from '@platformatic/kafka'
import { expect, test } from 'vitest'
import { codecsOf, RecordCursor } from './batch-reader.ts'
import { ReadAhead, type Slot } from './read-ahead.ts'

const length = 50_000

function filled(ahead: ReadAhead, partition: number, compression: 'none' | 'gzip' = 'none'): Slot {
  const message = { topic: 't', partition, value: Buffer.from('x'.repeat(length)) }
  const bytes = client.createRecordsBatch([message, message], { compression }).buffer
  const slot = ahead.at('t', partition, 0)
  ahead.fill(slot, new RecordCursor(bytes, partition, 0, 0, [], codecsOf(client)))
  return slot
}

test('the slots least recently asked for go when there are too many bytes', () => {
  const ahead = new ReadAhead(4.5 * length, 100)
  const [first, second] = [filled(ahead, 0), filled(ahead, 1)]
  ahead.at('t', 0, 0)
  const third = filled(ahead, 2)
  expect([first, second, third].map((slot) => ahead.holds(slot))).toEqual([true, false, true])
})

test('compressed batches count as what they become in memory', () => {
  const ahead = new ReadAhead(4.5 * length, 100)
  const slots = [0, 1, 2, 3].map((partition) => filled(ahead, partition, 'gzip'))
  expect(slots.map((slot) => ahead.holds(slot))).toEqual([false, false, true, true])
})

test('what alone is larger than the bound is kept until something else comes: else nobody could ever read it', () => {
  const ahead = new ReadAhead(length, 100)
  const large = filled(ahead, 0)
  expect(ahead.holds(large)).toBe(true)
  const next = filled(ahead, 1)
  expect([large, next].map((slot) => ahead.holds(slot))).toEqual([false, true])
})

test('a slot that is waited for stays', () => {
  const ahead = new ReadAhead(length, 100)
  const waited = filled(ahead, 0)
  waited.waiters.add(() => {})
  filled(ahead, 1)
  expect(ahead.holds(waited)).toBe(true)
})
