import { expect, test } from 'vitest'
import { Causes } from './reasons.ts'

const causes = (...reasons: readonly string[]) => {
  const found = new Causes()
  for (const [index, reason] of reasons.entries()) found.add({ handle: `h${index}`, reason, diedAt: index })
  return found.all
}

test('numbers and ids make no other reason; the most frequent comes first', () => {
  const found = causes(
    'no such user',
    'attempt 3 of 3: order 4711 has no address',
    'attempt 10 of 10: order 4712 has no address',
    'connect ECONNREFUSED 10.0.0.1:25',
    'row 01a2074d-a38c-7000-a769-1b65e4e96a80 is gone',
    'row 0192f9a1-0000-7000-8000-00000000000f is gone',
    'attempt 1 of 3: order 9 has no address',
    'commit deadbeef1 is unknown',
  )
  expect(found.map(({ reason, count }) => [count, reason])).toEqual([
    [3, 'attempt # of #: order # has no address'],
    [2, 'row # is gone'],
    [1, 'no such user'],
    [1, 'connect ECONNREFUSED #'],
    [1, 'commit # is unknown'],
  ])
  expect(found[0]).toMatchObject({ handle: 'h1', first: 1, last: 6 })
})

test('words of the letters a to f stay words', () => {
  expect(causes('a defaced facade').map(({ reason }) => reason)).toEqual(['a defaced facade'])
})

test('it has a bound: what is beyond a thousand different ones is counted together', () => {
  const letters = (n: number) => [...String(n)].map((digit) => 'ghijklmnop'[Number(digit)]).join('')
  const found = causes(...Array.from({ length: 1_500 }, (_, n) => letters(n)))
  expect(found.length).toBe(1_001)
  expect(found[0]).toMatchObject({ reason: 'other reasons', count: 500 })
})
