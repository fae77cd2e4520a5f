import { expect, test } from 'vitest'
import { type Slab, Slabs } from './slabs.ts'

function write(slabs: Slabs, bodies: readonly string[]): { spans: number[]; held: Slab[] } {
  const spans: number[] = []
  const held: Slab[] = []
  for (const body of bodies) slabs.write(spans, held, 'id', undefined, body, false)
  return { spans, held }
}

test('records that follow each other share a span', () => {
  const { spans } = write(new Slabs(), ['a', 'b', 'c'])
  expect(spans).toEqual([0, 0, 3 * (12 + 2 + 1), 3])
})

test('memory is used again when its operations are answered, however long it goes on', () => {
  const slabs = new Slabs()
  for (let i = 0; i < 200; i++) slabs.release(write(slabs, ['x'.repeat(100_000)]).held)
  expect(slabs.added.length).toBe(1)
})

test('memory that is held is not written over', () => {
  const slabs = new Slabs()
  const first = write(slabs, ['first'])
  slabs.release(write(slabs, ['second']).held)
  write(slabs, ['third'])
  expect(first.held[0]!.bytes.toString('utf8', 14, 19)).toBe('first')
})

test('a body larger than a slab gets memory of its own, which is given up afterwards', () => {
  const slabs = new Slabs()
  const large = write(slabs, ['x'.repeat(3_000_000)])
  expect(large.spans.length).toBe(4)
  slabs.release(large.held)
  expect(slabs.dropped).toEqual([large.spans[0]])
})

test('what is kept for later is bounded', () => {
  const slabs = new Slabs()
  const many = Array.from({ length: 40 }, () => write(slabs, ['x'.repeat(300_000)]))
  for (const { held } of many) slabs.release(held)
  expect(slabs.added.length - slabs.dropped.length).toBeLessThanOrEqual(17)
})
