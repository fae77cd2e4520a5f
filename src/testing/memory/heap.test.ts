import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { Heap, type Placed } from './heap.ts'

interface Item extends Placed {
  readonly value: number
}

test('it gives the least first, whatever was added and removed before', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), value: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('remove' as const), value: fc.nat() }),
    fc.record({ kind: fc.constant('shift' as const), value: fc.constant(0) }),
  )
  fc.assert(
    fc.property(
      fc.array(fc.nat(50), { maxLength: 60 }),
      fc.array(step, { maxLength: 60 }),
      (start, steps) => {
        const heap = new Heap<Item>((a, b) => a.value < b.value)
        const model: Item[] = start.map((value) => ({ value, place: 0 }))
        for (const item of model) heap.add(item)
        for (const { kind, value } of steps) {
          if (kind === 'add') {
            const item = { value, place: 0 }
            heap.add(item)
            model.push(item)
          } else if (kind === 'remove') {
            if (model.length === 0) continue
            const [item] = model.splice(value % model.length, 1)
            heap.remove(item!)
          } else {
            const item = heap.shift()
            assert.equal(item?.value, model.length === 0 ? undefined : Math.min(...model.map((m) => m.value)))
            if (item !== undefined) model.splice(model.indexOf(item), 1)
          }
          assert.equal(heap.size, model.length)
        }
        const rest = model.map((item) => item.value).sort((a, b) => a - b)
        assert.deepEqual(
          rest.map(() => heap.shift()?.value),
          rest,
        )
      },
    ),
    { numRuns: 500 },
  )
})

test('each step compares in the order of log n', () => {
  let comparisons = 0
  const heap = new Heap<Item>((a, b) => {
    comparisons++
    return a.value < b.value
  })
  const count = 2 ** 14
  const items = Array.from({ length: count }, (_, index) => ({ value: (index * 7919) % count, place: 0 }))
  const most = (work: () => void): number => {
    comparisons = 0
    work()
    return comparisons
  }
  for (const item of items) assert.ok(most(() => heap.add(item)) <= 15)
  for (const item of items.slice(0, 1000)) assert.ok(most(() => heap.remove(item)) <= 45)
  for (let index = 0; index < 1000; index++) assert.ok(most(() => heap.shift()) <= 45)
})
