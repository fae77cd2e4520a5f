// What is remembered of what was fetched: never an older state for a newer one, never for too long, never too much.
import { expect, test } from 'vitest'
import { fakeClock } from '../testing/index.ts'
import { Cache } from './cache.ts'

const found = (version: number) => ({ state: 'found' as const, value: { version }, version })

test('it answers for its version and those before it, and not for later ones', () => {
  const cache = new Cache(fakeClock())
  cache.put('a', found(3), 3)
  expect([2, 3, 4].map((version) => cache.find('a', version))).toEqual([found(3), found(3), undefined])
  expect(cache.find('b', 1)).toBeUndefined()
})

test('an older state, from a replica that lags, replaces no newer one', () => {
  const cache = new Cache(fakeClock())
  cache.put('a', found(3), 3)
  cache.put('a', found(2), 2)
  expect(cache.find('a', 3)).toEqual(found(3))
})

test('after its time it is forgotten, however often it was used, and then an older state will do', async () => {
  const clock = fakeClock()
  const cache = new Cache(clock, { entries: 10, keptMs: 1_000 })
  cache.put('a', found(3), 3)
  await clock.advance(999)
  expect(cache.find('a', 3)).toEqual(found(3))
  await clock.advance(1)
  expect(cache.find('a', 3)).toBeUndefined()
  cache.put('a', found(2), 2)
  expect(cache.find('a', 2)).toEqual(found(2))
})

test('of too many keys the one that was not used for longest goes', () => {
  const cache = new Cache(fakeClock(), { entries: 2, keptMs: 1_000 })
  cache.put('a', found(1), 1)
  cache.put('b', found(1), 1)
  cache.find('a', 1)
  cache.put('c', found(1), 1)
  expect(['a', 'b', 'c'].map((key) => cache.find(key, 1))).toEqual([found(1), undefined, found(1)])
})
