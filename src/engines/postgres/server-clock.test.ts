import { expect, test } from 'vitest'
import { ServerClock } from './server-clock.ts'

test('the first that the server tells is believed, and from then on as much as passed here', () => {
  let elapsedMs = 5_000
  const clock = new ServerClock(() => elapsedMs)
  expect(clock.latestUs()).toBeUndefined()
  clock.told(1_000_000_000)
  expect(clock.latestUs()).toBe(1_001_000_000)
  // A step forth, told again and again, moves nothing.
  for (let i = 0; i < 1_000; i++) clock.told(9_000_000_000)
  expect(clock.latestUs()).toBe(1_001_000_000)
  elapsedMs += 1_000_000
  expect(clock.latestUs()).toBe(1_000_000_000 + 1_001_000_000 + 1_000_000)
})
