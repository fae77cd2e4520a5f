// How a fetcher treats its owner: what random histories (test/pointer) do not show in so many words.
import { expect, test } from 'vitest'
import { call } from '../core/call-contract.ts'
import { sleep } from '../core/clock.ts'
import { context } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { pointer } from '../core/pointer-contract.ts'
import { unchecked } from '../core/schema.ts'
import { fakeClock } from '../testing/index.ts'
import { Fetcher } from './fetcher.ts'
import type { Owner, Result } from './owner.ts'

const { changed } = context('orders', {
  events: { changed: pointer({ key: 'id', fetch: 'get' }) },
  calls: { get: call({ input: unchecked<{ id: string }>(), output: unchecked<object>() }) },
}).events

const failed = (code: 'DEADLINE' | 'ANSWER_FAILED' | 'BREAKER_OPEN'): Result => {
  const error = new SpillwayError(code, 'It was so.')
  return { status: 'failed', reason: 'error', data: undefined, error }
}
const ok: Result = { status: 'ok', value: { version: 1 } }

function setUp(answer: (ids: readonly string[]) => readonly Result[], whenAllowed?: Owner['whenAllowed']) {
  const clock = fakeClock()
  const requests: { readonly at: number; readonly size: number }[] = []
  const reports: SpillwayError[] = []
  const owner: Owner = {
    name: 'orders',
    async ask(_, inputs) {
      requests.push({ at: clock.elapsed(), size: inputs.length })
      await sleep(clock, 5)
      return answer(inputs.map((input) => (input as { id: string }).id))
    },
    whenAllowed: whenAllowed ?? (async () => {}),
  }
  const report = (error: SpillwayError) => reports.push(error)
  const fetcher = new Fetcher({ pointer: changed.pointer, owner, clock, report })
  const { signal } = new AbortController()
  const given: string[] = []
  const want = (id: string) =>
    void fetcher
      .fetch({ key: id, version: 1, happenedAt: undefined }, signal)
      .then(() => given.push(id))
      .catch(() => {})
  return { clock, requests, reports, fetcher, want, given }
}

test('an owner that is too slow for a hundred at once is asked for as many as it can answer', async () => {
  const { clock, want, given, requests } = setUp((ids) =>
    ids.map(() => (ids.length > 10 ? failed('DEADLINE') : ok)),
  )
  for (let n = 0; n < 150; n++) want(`k${n}`)
  await clock.advance('30s')
  expect(given).toHaveLength(150)
  expect(requests.length).toBeLessThan(60)
})

test('while its owner is away one small request goes out every few seconds, and one report a minute', async () => {
  let isUp = false
  const { clock, want, given, requests, reports } = setUp((ids) =>
    ids.map(() => (isUp ? ok : failed('DEADLINE'))),
  )
  for (let n = 0; n < 1_000; n++) want(`k${n}`)
  await clock.advance('10m')
  // Half of five seconds on the average.
  expect(requests.length).toBeLessThan(400)
  expect(requests.slice(10).every(({ size }) => size === 1)).toBe(true)
  expect(reports.length).toBeGreaterThan(5)
  expect(reports.length).toBeLessThanOrEqual(11)
  expect(new Set(reports.map(({ code }) => code))).toEqual(new Set(['OWNER_AWAY']))
  isUp = true
  const before = requests.length
  await clock.advance('6s')
  expect(given).toHaveLength(1_000)
  expect(requests.slice(before).map(({ size }) => size)).toEqual(
    expect.arrayContaining([1, 2, 4, 8, 16, 32, 64, 100]),
  )
  expect(requests.length - before).toBeLessThan(25)
})

test('nothing leaves before the breaker lets it', async () => {
  const allowed = Promise.withResolvers<void>()
  let isUp = false
  const { clock, want, given, requests } = setUp(
    (ids) => ids.map(() => (isUp ? ok : failed('BREAKER_OPEN'))),
    () => allowed.promise,
  )
  want('a')
  await clock.advance('1m')
  want('b')
  await clock.advance('1h')
  expect(requests).toHaveLength(1)
  isUp = true
  allowed.resolve()
  await clock.advance('1s')
  expect(given.sort()).toEqual(['a', 'b'])
})

test('a key for which the owner fails waits alone', async () => {
  const { clock, want, given, requests } = setUp((ids) =>
    ids.map((id) => (id === 'broken' ? failed('ANSWER_FAILED') : ok)),
  )
  want('broken')
  await clock.advance('10m')
  expect(requests.length).toBeLessThan(60)
  want('other')
  await clock.advance(200)
  expect(given).toEqual(['other'])
})

test('closing ends what waits, and leaves no timer', async () => {
  const { clock, want, fetcher, given } = setUp((ids) => ids.map(() => failed('DEADLINE')))
  for (let n = 0; n < 300; n++) want(`k${n}`)
  await clock.advance('1m')
  fetcher.close()
  await clock.advance('1m')
  expect([given, clock.timers]).toEqual([[], 0])
  const { signal } = new AbortController()
  const late = fetcher.fetch({ key: 'k', version: 1, happenedAt: undefined }, signal)
  await expect(late).rejects.toMatchObject({ code: 'ABORTED' })
})
