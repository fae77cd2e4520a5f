import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { MemoryTable } from './table.ts'

test('restoring puts back exactly what was there at the snapshot', () => {
  const change = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    row: fc.option(fc.nat(9)),
  })
  fc.assert(
    fc.property(fc.array(change), fc.array(change), fc.array(change), (before, after, later) => {
      const table = new MemoryTable<number>()
      const apply = (changes: typeof before) => {
        for (const { key, row } of changes)
          if (row === null) table.delete(key)
          else table.set(key, row)
      }
      const sorted = () => table.entries().sort()
      apply(before)
      const expected = sorted()
      const restore = table.snapshot()
      apply(after)
      restore()
      assert.deepEqual(sorted(), expected)
      apply(later)
      const again = sorted()
      const restoreAgain = table.snapshot()
      apply(after)
      restoreAgain()
      assert.deepEqual(sorted(), again)
    }),
  )
})

test('rows are copies: changing one that went in or came out changes nothing here', () => {
  const table = new MemoryTable<{ total: number }>()
  const row = { total: 1 }
  table.set('k', row)
  row.total = 2
  table.get('k')!.total = 3
  table.entries()[0]![1].total = 4
  assert.deepEqual(table.get('k'), { total: 1 })
  assert.deepEqual([table.size, table.has('k'), table.has('l')], [1, true, false])
  assert.deepEqual([table.delete('k'), table.delete('k'), table.get('k')], [true, false, undefined])
})
