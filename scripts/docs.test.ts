import { expect, test } from 'vitest'
import { outOfDate } from './docs.ts'

test('every code block and every reference page is as its source', () => {
  expect(outOfDate()).toEqual([])
})
