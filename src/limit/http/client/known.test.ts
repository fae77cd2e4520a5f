import { expect, test } from 'vitest'
import { fakeClock } from '../../../testing/fake-clock.ts'
import { Known } from './known.ts'

test('of a million addresses a thousand are known, and those that somebody waits at', async () => {
  const clock = fakeClock()
  const known = new Known(clock, () => 0)
  const told = (name: string) => ({
    policies: [{ policy: name, left: 0, withinMs: 60_000 }],
    retryAfterMs: undefined,
  })
  known.learn('https://a', 'GET https://a/first', told('first'), 60_000, 0)
  const forget = known.gatesOf('https://a', 'GET https://a/first').map((gate) => gate.onChange(() => {}))
  expect(forget).toHaveLength(2)
  for (let index = 0; index < 20_000; index++)
    known.learn('https://a', `GET https://a/${index}`, told(`p${index}`), undefined, 0)
  expect(known.size).toBeLessThanOrEqual(2_002)
  expect(known.gatesOf('https://a', 'GET https://a/first')).toHaveLength(2)
  expect(known.gatesOf('https://a', 'GET https://a/19999')).toHaveLength(2)
  expect(known.gatesOf('https://a', 'GET https://a/17')).toHaveLength(0)
  for (const each of forget) each()
  expect(clock.timers).toBe(0)
})
