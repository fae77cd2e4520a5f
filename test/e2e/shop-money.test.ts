// Money in the shop is exact: what floating point would get wrong must come out right.
import { expect, test } from 'vitest'
import { penceOf, pounds } from '../../examples/shop/money.ts'

test('a line is exact, and rounded once, half a penny away from zero', () => {
  expect(penceOf(6, '2.55')).toBe(1530)
  expect(penceOf(1, '18')).toBe(1800)
  expect(penceOf(3, '0.1')).toBe(30)
  expect(penceOf(1, '0.001')).toBe(0)
  expect(penceOf(1000, '0.001')).toBe(100)
  expect(penceOf(1, '0.005')).toBe(1)
  expect(penceOf(-1, '0.005')).toBe(-1)
  expect(penceOf(1, '1.004999')).toBe(100)
  expect(penceOf(-43, '1.15')).toBe(-4945)
  // In floating point 1.005 * 100 is 100.49999…
  expect(penceOf(1, '1.005')).toBe(101)
  expect(penceOf(9_999_999, '9999.99')).toBe(9_999_989_000_001)
})

test('pence are shown as pounds', () => {
  expect(pounds(123450)).toBe('£1,234.50')
  expect(pounds(-5)).toBe('-£0.05')
})
