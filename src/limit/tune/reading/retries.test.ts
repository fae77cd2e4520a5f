// Requests that had come before are one demand: by their id, and by a refusal that they follow.
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type TuneOptions, tune } from '../tune.ts'

const start = 1_764_000_000

function tuned(lines: readonly (object | string)[], options: TuneOptions = { key: 'user' }) {
  const content = lines.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('\n')
  const source = { name: 'log', size: undefined, open: () => Readable.from([Buffer.from(content)]) }
  return tune([source], options)
}

test('requests of one key with the same id are one', async () => {
  const request = fc.record({
    user: fc.constantFrom('a', 'b'),
    id: fc.option(fc.constantFrom('x', 'y', 'z')),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
      const lines = requests.map(({ user, id }, index) => ({
        time: start + index,
        user,
        ...(id === null ? {} : { request: { id } }),
      }))
      const once = new Set(requests.flatMap(({ user, id }) => (id === null ? [] : [`${user} ${id}`]))).size
      const without = requests.filter(({ id }) => id === null).length
      expect(await tuned(lines, { key: 'user', id: 'request.id' })).toMatchObject({
        requests: once + without,
        retries: { sameId: requests.length - once - without, afterRefusal: 0 },
      })
      expect((await tuned(lines)).requests).toBe(requests.length)
    }),
    { numRuns: 20 },
  )
})

/** As the decision says it, over all requests at once. */
function countOf(requests: readonly { readonly at: number; readonly status: number }[]): number {
  const waited: number[] = []
  let again = 0
  for (const { at, status } of requests) {
    while (waited.length > 0 && waited[0]! + 30 < at) waited.shift()
    if (waited.length > 0 && waited[0]! + 1 <= at) {
      waited.shift()
      again += 1
    }
    if (status === 429) waited.push(at)
  }
  return again
}

test('what is asked again after a 429 is the request that was refused: each is once, in order', async () => {
  const request = fc.record({
    after: fc.constantFrom(0, 0, 0.5, 1, 5, 29, 31),
    status: fc.constantFrom(200, 429),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (steps) => {
      let at = 0
      const requests = steps.map(({ after, status }) => {
        at += after
        return { at, status }
      })
      const lines = requests.map(({ at: when, status }) => ({ time: start + when, user: 'a', status }))
      const again = countOf(requests)
      expect(await tuned(lines)).toMatchObject({
        requests: requests.length - again,
        retries: { sameId: 0, afterRefusal: again },
      })
      expect((await tuned(lines, { key: 'user', keepRetries: true })).requests).toBe(requests.length)
    }),
    { numRuns: 30 },
  )
})

test('it is the same client, the same request, and the time that was told', async () => {
  const refused = { time: start, user: 'a', path: '/x', status: 429, retryAfter: 100 }
  const again = async (next: object) =>
    (await tuned([refused, { ...refused, status: 200, ...next }])).retries.afterRefusal
  expect(await again({ time: start + 100 })).toBe(1)
  expect(await again({ time: start + 155 })).toBe(1)
  expect(await again({ time: start + 156 })).toBe(0)
  expect(await again({ time: start + 100, user: 'b' })).toBe(0)
  expect(await again({ time: start + 100, path: '/y' })).toBe(0)
  const line = (address: string, second: number, status: number) =>
    `${address} - - [17/May/2015:10:05:0${second} +0000] "GET /a HTTP/1.1" ${status} 5 "-" "agent"`
  // Also where all are bounded together, another client is another one.
  const all = [line('10.0.0.1', 1, 429), line('10.0.0.2', 3, 200), line('10.0.0.1', 3, 200)]
  expect(await tuned(all, { key: 'global' })).toMatchObject({ requests: 2, retries: { afterRefusal: 1 } })
})

test('labels say who is abusive; a field that nobody has is refused', async () => {
  const lines = Array.from({ length: 40 }, (_, index) => ({
    time: start + index,
    user: index % 2 ? 'bad' : `u${index}`,
    kind: index % 2 ? 'abusive' : 'honest',
  }))
  const report = await tuned(lines, { key: 'user', label: 'kind', honest: 0.9 })
  expect(report.separation).toMatchObject({ by: 'label', abusiveKeys: 1, honestKeys: 20 })
  const [recommended] = report.separation!.points
  expect(recommended).toMatchObject({ honestRefused: 0, ratePerSecond: report.recommendation.ratePerSecond })
  expect(recommended!.abusiveAdmitted).toBeLessThan(0.2)
  await expect(tuned(lines, { key: 'user', label: 'none' })).rejects.toThrow('--label none')
  // Few keys, and no labels.
  expect((await tuned(lines)).separation).toBeNull()
})

test('of many keys one of a thousand is taken for abusive by its cost', async () => {
  const lines = Array.from({ length: 600 }, (_, index) => ({
    time: start + index,
    user: index % 3 === 0 ? 'bulk' : `u${index}`,
  }))
  expect((await tuned(lines)).separation).toMatchObject({ by: 'volume', abusiveKeys: 1, honestKeys: 400 })
})
