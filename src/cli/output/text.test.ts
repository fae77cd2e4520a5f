import { expect, test } from 'vitest'
import { table } from './table.ts'
import { cut, padEnd, visible, widthOf } from './text.ts'

test.each([
  ['', 0],
  ['plain', 5],
  ['naïve', 5],
  ['e\u0301', 1],
  ['한국어', 6],
  ['漢字かな', 8],
  ['👩‍👩‍👧‍👦!', 3],
])('%j takes %i columns', (text, width) => {
  expect(widthOf(text)).toBe(width)
  expect(widthOf(padEnd(text, 12))).toBe(12)
})

test('what is cut fits, never splits a letter, and says that it was cut', () => {
  expect(cut('plain', 5)).toBe('plain')
  expect(cut('plainly', 5)).toBe('plai…')
  expect(cut('한국어', 5)).toBe('한국…')
  expect(cut('한국어', 4)).toBe('한…')
  expect(cut('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 3)).toBe('👩‍👩‍👧‍👦…')
  expect(widthOf(cut('x'.repeat(1_000_000), 80))).toBe(80)
})

test('nothing steers the terminal', () => {
  const hostile = '\u001b]0;title\u0007\u001b[2J\u009b31m\r\n\u202eevil'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  expect(visible(hostile)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
  expect(visible('a\nb\tc\u001b')).toBe('a\\nb\\tc\\u001b')
})

test('a table is as wide as what is in it, and fits the terminal', () => {
  const columns = [
    { title: 'NAME', value: ([name]: readonly string[]) => name! },
    { title: 'COUNT', value: ([, count]: readonly string[]) => count!, right: true },
    { title: 'NEVER', value: () => '' },
    { title: 'DATA', value: ([, , data]: readonly string[]) => data!, rest: true },
  ]
  const rows = [
    ['billing', '7', 'short'],
    ['한국', '12,345', 'd'.repeat(60)],
  ]
  expect(table(columns, rows, 40)).toEqual([
    'NAME      COUNT  DATA',
    'billing       7  short',
    `한국     12,345  ${'d'.repeat(22)}…`,
  ])
  expect(table(columns, rows)[2]).toContain('d'.repeat(60))
  expect(table(columns, rows, 5)[2]).toContain(`${'d'.repeat(11)}…`)
})
