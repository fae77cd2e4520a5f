import { describe, expect, test } from 'vitest'
import { fakeClock } from '../../../testing/fake-clock.ts'
import { type BackOffOptions, backOff } from './back-off.ts'
import type { SendInit } from './send.ts'

interface Seen {
  readonly atMs: number
  readonly url: string
}

/** What a server says to one request. */
type Rule = (seen: Seen, before: readonly Seen[]) => Response

/** A server that answers after `latencyMs` of a clock that the test moves. */
function subject(rule: Rule, options: Omit<BackOffOptions, 'clock'> = {}, latencyMs = 10) {
  const clock = fakeClock()
  const began = clock.elapsed()
  const seen: Seen[] = []
  const send = async (url: string, init?: SendInit): Promise<Response> => {
    void init
    const request = { atMs: clock.elapsed() - began, url }
    const response = rule(request, [...seen])
    seen.push(request)
    await new Promise<void>((resolve) => clock.after(latencyMs, resolve))
    return response
  }
  const get = backOff(send, { random: () => 0, ...options, clock })
  return { clock, seen, get }
}

function answer(status: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response('', { status, headers })
}

/** At most `limit` in any `windowMs`, and it says what is left and when more comes. */
function windowOf(limit: number, windowMs: number, name = 'burst'): Rule {
  const taken: number[] = []
  return ({ atMs }) => {
    while (taken[0] !== undefined && taken[0] <= atMs - windowMs) taken.shift()
    const fits = taken.length < limit
    if (fits) taken.push(atMs)
    const first = taken[0] ?? atMs
    const more = Math.ceil((first + windowMs - atMs) / 1_000)
    const headers = { ratelimit: `"${name}";r=${limit - taken.length};t=${more}` }
    return fits ? answer(200, headers) : answer(429, { ...headers, 'retry-after': String(more) })
  }
}

const url = 'https://api.example/items'

async function statuses(calls: readonly Promise<Response>[]): Promise<number[]> {
  return (await Promise.all(calls)).map(({ status }) => status)
}

describe('backing off', () => {
  test('what was refused is asked again when the time has come, and not before', async () => {
    const { clock, seen, get } = subject((_seen, before) =>
      before.length === 0 ? answer(429, { 'retry-after': '7' }) : answer(200),
    )
    const call = get(url)
    await clock.advance(20_000)
    expect((await call).status).toBe(200)
    expect(seen.map(({ atMs }) => atMs)).toEqual([0, 7_010])
  })

  test('who was told that nothing is left waits before it sends', async () => {
    const { clock, seen, get } = subject(windowOf(1, 5_000))
    const calls: Promise<Response>[] = [get(url)]
    await clock.advance(100)
    calls.push(get(url))
    await clock.advance(30_000)
    expect(await statuses(calls)).toEqual([200, 200])
    expect(seen.map(({ atMs }) => atMs)).toEqual([0, 5_010])
  })

  test('a hundred at once share what one of them learnt: no herd, and nothing is refused twice', async () => {
    const { clock, seen, get } = subject(windowOf(10, 1_000), { longestWait: '60s' })
    const first = get(url)
    await clock.advance(100)
    const calls = Array.from({ length: 100 }, () => get(url))
    await clock.advance(60_000)
    expect(await statuses([first, ...calls])).toEqual(Array.from({ length: 101 }, () => 200))
    // One or two more than were answered: what was under way when it was told.
    expect(seen.length).toBeLessThan(101 + 5)
    expect(seen.at(-1)!.atMs).toBeLessThan(15_000)
  })

  test('after a refusal that says nothing more one goes first, then twice as many', async () => {
    const { clock, seen, get } = subject(
      ({ atMs }) => (atMs < 3_000 ? answer(429, { 'retry-after': '3' }) : answer(200)),
      { retryBudget: { burst: 100 } },
    )
    const call = get(url)
    await clock.advance(100)
    const calls = Array.from({ length: 30 }, () => get(url))
    await clock.advance(10_000)
    expect(new Set(await statuses([call, ...calls]))).toEqual(new Set([200]))
    const after = seen.filter(({ atMs }) => atMs >= 3_000).map(({ atMs }) => atMs)
    const first = after[0]!
    expect(after.filter((atMs) => atMs === first)).toHaveLength(1)
    expect(after.filter((atMs) => atMs === first + 10)).toHaveLength(2)
    expect(after.filter((atMs) => atMs === first + 20)).toHaveLength(4)
  })

  test('an answer that was overtaken by one that left nothing opens nothing', async () => {
    const clock = fakeClock()
    let sent = 0
    const get = backOff(
      async (_url: string): Promise<Response> => {
        const first = ++sent === 1
        await new Promise<void>((resolve) => clock.after(first ? 1_000 : 10, resolve))
        return answer(200, { ratelimit: first ? '"p";r=1;t=60' : '"p";r=0;t=60' })
      },
      { clock, random: () => 0, longestWait: '2m' },
    )
    const calls = [get(url), get(url)]
    await clock.advance(2_000)
    await Promise.all(calls)
    const third = get(url)
    await clock.advance(50_000)
    expect(sent).toBe(2)
    await clock.advance(10_000)
    expect((await third).status).toBe(200)
  })

  test('a policy holds for every address that it was told for, and for no other', async () => {
    const posts = windowOf(1, 10_000, 'posts')
    const { clock, seen, get } = subject((request, before) =>
      request.url.includes('free') ? answer(200) : posts(request, before),
    )
    const first = get('https://api.example/posts/1')
    await clock.advance(100)
    const calls = [get('https://api.example/posts/2'), get('https://api.example/free')]
    await clock.advance(100)
    expect(seen.map((request) => new URL(request.url).pathname)).toEqual(['/posts/1', '/free'])
    await clock.advance(20_000)
    expect(await statuses([first, ...calls])).toEqual([200, 200, 200])
  })

  test('another origin with a policy of the same name is another policy', async () => {
    const { clock, seen, get } = subject(() => answer(200, { ratelimit: '"p";r=0;t=20' }))
    const calls = [get('https://a.example/x')]
    await clock.advance(100)
    calls.push(get('https://b.example/x'))
    await clock.advance(100)
    expect(seen).toHaveLength(2)
    expect(await statuses(calls)).toEqual([200, 200])
  })
})

describe('bounds', () => {
  test('who would wait longer than `longestWait` is told at once, and nothing is sent', async () => {
    const { clock, seen, get } = subject(() => answer(429, { 'retry-after': '600' }), {
      longestWait: '10s',
    })
    const first = get(url)
    await clock.advance(100)
    // Nobody waited for it: it is the answer.
    expect((await first).status).toBe(429)
    await expect(get(url)).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      retryable: true,
      details: { retryAfterMs: 599_910 },
    })
    expect(seen).toHaveLength(1)
  })

  test('who would have to wait longer than `longestWait` after a refusal has the refusal for an answer', async () => {
    // Told 4 s, and the gate opens up to a tenth later.
    const { clock, seen, get } = subject(() => answer(429, { 'retry-after': '4' }), {
      longestWait: '4100ms',
      random: () => 1,
    })
    const call = get(url)
    await clock.advance(10_000)
    expect((await call).status).toBe(429)
    expect(seen).toHaveLength(1)
  })

  test('a time that no client should heed is asked again after an hour', async () => {
    const { clock, seen, get } = subject((_seen, before) =>
      before.length === 0 ? answer(429, { 'retry-after': '1000000' }) : answer(200),
    )
    const first = get(url)
    await clock.advance(1_000)
    expect((await first).status).toBe(429)
    await clock.advance(3_600_000)
    const second = get(url)
    await clock.advance(100)
    expect((await second).status).toBe(200)
    expect(seen).toHaveLength(2)
  })

  test('the retries of one request are counted, and its last refusal is its answer', async () => {
    const { clock, seen, get } = subject(() => answer(429, { 'retry-after': '1' }), { retries: 2 })
    const call = get(url)
    await clock.advance(30_000)
    expect((await call).status).toBe(429)
    expect(seen).toHaveLength(3)
  })

  test('the retries of all together are a share of what is sent', async () => {
    const { clock, seen, get } = subject(() => answer(429, { 'retry-after': '0' }), {
      retries: 100,
      retryBudget: { share: 0.1, perSecond: 0, burst: 5 },
    })
    const calls = Array.from({ length: 100 }, () => get(url))
    await clock.advance(60_000)
    expect(new Set(await statuses(calls))).toEqual(new Set([429]))
    // The bucket was full: of the first hundred it took nothing in.
    expect(seen.length).toBe(100 + 5)
  })

  test('so many wait, and who comes then is told so', async () => {
    const { clock, get } = subject(windowOf(1, 5_000), { waiting: 2 })
    const first = get(url)
    await clock.advance(100)
    const waiting = [get(url), get(url)]
    await expect(get(url)).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    await clock.advance(30_000)
    expect(await statuses([first, ...waiting])).toEqual([200, 200, 200])
  })

  test('who gives up while it waits ends at once, and takes no place', async () => {
    const { clock, seen, get } = subject(windowOf(1, 5_000))
    const first = get(url)
    await clock.advance(100)
    const giveUp = new AbortController()
    const second = get(url, { signal: giveUp.signal })
    const third = get(url)
    await clock.advance(100)
    giveUp.abort()
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
    await clock.advance(10_000)
    expect(await statuses([first, third])).toEqual([200, 200])
    expect(seen).toHaveLength(2)
  })

  test('a body that is used up by sending is not sent again', async () => {
    const { clock, seen, get } = subject(() => answer(429, { 'retry-after': '1' }))
    const stream = get(url, { method: 'POST', body: new Blob(['x']).stream() })
    await clock.advance(100)
    expect((await stream).status).toBe(429)
    expect(seen).toHaveLength(1)
  })

  test.each([
    ['GET', {}, 2],
    ['POST', {}, 1],
    ['POST', { 'Idempotency-Key': 'k' }, 2],
  ])('after 503 %s with %j is sent %i times', async (method, headers, times) => {
    const { clock, seen, get } = subject((_seen, before) =>
      before.length === 0 ? answer(503, { 'retry-after': '1' }) : answer(200),
    )
    const call = get(url, { method, headers })
    await clock.advance(10_000)
    expect((await call).status).toBe(times === 2 ? 200 : 503)
    expect(seen).toHaveLength(times)
  })

  test('503 without a time is no limit, and 202 with one is no refusal', async () => {
    const { clock, seen, get } = subject((_seen, before) =>
      before.length === 0 ? answer(503) : answer(202, { 'retry-after': '60' }),
    )
    const calls = [get(url)]
    await clock.advance(100)
    calls.push(get(url))
    await clock.advance(100)
    calls.push(get(url))
    await clock.advance(100)
    expect(await statuses(calls)).toEqual([503, 202, 202])
    expect(seen).toHaveLength(3)
  })

  test('a request that fails lets the next one through', async () => {
    const clock = fakeClock()
    let sent = 0
    const get = backOff(
      async (_url: string): Promise<Response> => {
        sent += 1
        if (sent === 1) return answer(200, { ratelimit: '"p";r=0;t=1' })
        if (sent === 2) throw new Error('reset')
        return answer(200)
      },
      { clock, random: () => 0 },
    )
    await get(url)
    const calls = [get(url), get(url)]
    const ended = Promise.allSettled(calls)
    await clock.advance(5_000)
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })

  test('an option that there is not is refused with the one that was meant', () => {
    // @ts-expect-error There is no such option.
    expect(() => backOff(fetch, { longestWaits: '1s' })).toThrow(/longestWait/)
  })
})
