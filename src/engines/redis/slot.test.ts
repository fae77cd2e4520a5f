import { expect, test } from 'vitest'
import { slotOf } from './slot.ts'

test('the slots that the specification of Redis Cluster gives', () => {
  expect(slotOf('123456789')).toBe(0x31c3)
  expect(slotOf('foo')).toBe(12_182)
  expect(slotOf('bar')).toBe(5_061)
})

test('what stands in the first braces decides, unless it is nothing', () => {
  expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'))
  expect(slotOf('a{foo}b{bar}')).toBe(slotOf('foo'))
  expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'))
  expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'))
  expect(slotOf('foo{bar')).not.toBe(slotOf('bar'))
  expect(slotOf('고객')).toBe(slotOf('x{고객}'))
})
