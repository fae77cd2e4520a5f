// The doors, each in front of a real app: what is let in, refused, waited for, given back, and what clients are told.
import { request as httpRequest } from 'node:http'
import { parseList } from 'structured-headers'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { SpillwayError } from '../../src/core/errors.ts'
import { limits } from '../../src/limit/limits.ts'
import type { Rules } from '../../src/limit/rule/rule.ts'
import { sharedLimits } from '../../src/limit/shared/shared-limits.ts'
import type { LimitPort } from '../../src/ports/limit.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { type AppOptions, apps, type Work } from './door-apps.ts'

const done: Work = async () => ({ status: 200, text: 'done' })

async function eventually(expectations: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(expectations, { timeout: 10_000, interval: 10 })
}

/** A work that ends when it is told to. */
function held() {
  const ends: (() => void)[] = []
  const work: Work = async () => {
    await new Promise<void>((resolve) => ends.push(resolve))
    return { status: 200, text: 'done' }
  }
  onTestFinished(() => {
    for (const end of ends) end()
  })
  return { work, ends }
}

describe.each(apps)('$name, limits of several processes in a store', (app) => {
  const rules: Rules = {
    posts: { atMost: 2, per: 'day', by: 'user', away: 'closed' },
    mails: { pace: 1, per: 'minute', on: 'GET /mails', longestWait: '1s' },
  }

  test('count together, and a store that is away is said to be', async () => {
    const { limit } = memory()
    const state = { away: false }
    const store: LimitPort = {
      statement: limit!.statement,
      sweep: () => limit!.sweep(),
      exchange: (requests) =>
        state.away
          ? Promise.reject(new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.'))
          : limit!.exchange(requests),
    }
    const [one, other] = await Promise.all(
      [1, 2].map(() => {
        const bounds = sharedLimits({ rules, store, timeoutMs: 10_000 })
        onTestFinished(() => bounds.close())
        return app.start(bounds, done)
      }),
    )
    const ask = (origin: string | undefined, user: string, path = '/x') =>
      fetch(origin + path, { headers: { 'x-user': user } })
    expect((await ask(one, 'ann')).headers.get('ratelimit')).toMatch(/^"posts";r=1;t=\d+$/)
    expect((await ask(other, 'ann')).status).toBe(200)
    const refused = await ask(one, 'ann')
    expect([refused.status, Number(refused.headers.get('retry-after')) > 80_000]).toEqual([429, true])
    expect((await ask(one, 'bob', '/mails')).status).toBe(200)
    expect((await ask(one, 'bob', '/mails')).status).toBe(429)
    state.away = true
    const closed = await ask(other, 'cat')
    expect(closed.status).toBe(503)
    expect(await closed.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      'violated-policies': ['posts'],
    })
  })
})

describe.each(apps)('$name', (app) => {
  const start = async (rules: Rules, work: Work = done, options: AppOptions = {}) => {
    const bounds = limits({ rules, keys: { user: true, megabytes: true } })
    const origin = await app.start(bounds, work, options)
    const ask = (path: string, headers: Readonly<Record<string, string>> = {}, init: RequestInit = {}) =>
      fetch(origin + path, { headers, ...init })
    return { bounds, origin, ask }
  }

  test('lets in what the rules allow and says what is left; refuses the rest and says why and until when', async () => {
    const worked: string[] = []
    const { ask } = await start({ posts: { atMost: 2, per: 'minute', by: 'user' } }, async ({ path }) => {
      worked.push(path)
      return { status: 200, text: 'done' }
    })
    const first = await ask('/posts', { 'x-user': 'ann' })
    expect([first.status, await first.text()]).toEqual([200, 'done'])
    expect(first.headers.get('ratelimit-policy')).toBe('"posts";q=2;w=60')
    expect(first.headers.get('ratelimit')).toBe('"posts";r=1;t=60')
    expect((await ask('/posts', { 'x-user': 'ann' })).headers.get('ratelimit')).toBe('"posts";r=0;t=60')
    const third = await ask('/posts', { 'x-user': 'ann' }, { method: 'POST', body: 'x'.repeat(10_000) })
    expect(third.status).toBe(429)
    const after = Number(third.headers.get('retry-after'))
    expect(after).toBeGreaterThanOrEqual(60)
    expect(after).toBeLessThanOrEqual(66)
    expect(third.headers.get('content-type')).toMatch(/^application\/problem\+json(?:; charset=utf-8)?$/)
    expect(third.headers.get('cache-control')).toBe('no-store')
    expect(third.headers.get('ratelimit')).toBe('"posts";r=0;t=60')
    expect(await third.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['posts'],
    })
    // Another one has all of it.
    expect((await ask('/posts', { 'x-user': 'bob' })).headers.get('ratelimit')).toBe('"posts";r=1;t=60')
    expect(worked).toHaveLength(3)
  })

  test('what one rule refuses is counted in none, and only that one is told of', async () => {
    const { ask, bounds } = await start({
      few: { atMost: 1, per: 'hour', by: 'user', on: 'POST /few' },
      many: { atMost: 9, per: 'hour', by: 'user' },
    })
    const post = { method: 'POST' }
    expect((await ask('/few', { 'x-user': 'ann' }, post)).headers.get('ratelimit')).toMatch(
      /^"few";r=0;t=3600, "many";r=8;t=3600$/,
    )
    // The same endpoint, in other words.
    for (const path of ['/few', '/few/', '/few//', '/few?x=1', '/%66ew', '/FEW']) {
      const refused = await ask(path, { 'x-user': 'ann' }, post)
      expect([path, refused.status]).toEqual([path, 429])
      expect(refused.headers.get('ratelimit-policy')).toBe('"few";q=1;w=3600')
    }
    expect((await ask('/few', { 'x-user': 'ann' })).headers.get('ratelimit')).toBe(
      '"many";r=7;t=3599'.replace('3599', '3600'),
    )
    expect(bounds.counts().find(({ rule }) => rule === 'many')).toMatchObject({ allowed: 2 })
  })

  test('nobody is told of buckets that others fill too', async () => {
    const { ask } = await start({
      all: { atMost: 100, per: 'hour' },
      device: { atMost: 3, per: 'hour', by: { header: 'x-device' } },
      own: { atMost: 50, per: 'hour', by: ['user', { header: 'x-device' }] },
    })
    const names = async (headers: Readonly<Record<string, string>>) => {
      const field = (await ask('/x', headers)).headers.get('ratelimit')
      return field === null ? [] : parseList(field).map(([name]) => name)
    }
    expect(await names({ 'x-user': 'ann', 'x-device': 'd' })).toEqual(['own'])
    expect(await names({ 'x-device': 'd' })).toEqual([])
    expect(await names({})).toEqual([])
    expect(await names({ 'x-device': 'd' })).toEqual([])
    const refused = await ask('/x', { 'x-device': 'd' })
    expect([refused.status, refused.headers.get('ratelimit')]).toEqual([429, null])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_000)
  })

  test('a client is its address; a header is believed of proxies alone', async () => {
    const rules: Rules = { each: { atMost: 1, per: 'hour', by: 'address' } }
    const { ask } = await start(rules)
    expect((await ask('/x', { 'x-forwarded-for': '203.0.113.1' })).status).toBe(200)
    expect((await ask('/x', { 'x-forwarded-for': '203.0.113.2' })).status).toBe(429)
    const behind = await start(rules, done, { trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] })
    const from = async (forwarded: string) =>
      (await behind.ask('/x', { 'x-forwarded-for': forwarded })).status
    expect(await from('203.0.113.1')).toBe(200)
    expect(await from('203.0.113.2, 10.0.0.7')).toBe(200)
    expect(await from('198.51.100.9, 203.0.113.1')).toBe(429)
  })

  test('who has to wait is let in in order', async () => {
    const order: string[] = []
    const { origin, bounds } = await start(
      { mails: { pace: 5, per: 'second', line: 3 } },
      async ({ path }) => {
        order.push(path)
        return { status: 200, text: 'done' }
      },
    )
    const waiting = () => bounds.counts()[0]!.waiting
    const answers: Promise<number>[] = []
    for (const path of ['/0', '/1', '/2', '/3']) {
      const before = waiting()
      answers.push(fetch(origin + path).then(({ status }) => status))
      // Each has to stand in the line before the next one comes.
      await eventually(() => expect(waiting() > before || order.includes(path)).toBe(true))
    }
    expect(await Promise.all(answers)).toEqual([200, 200, 200, 200])
    expect(order).toEqual(['/0', '/1', '/2', '/3'])
  })

  test('who leaves the line frees its place, and is not worked for', async () => {
    const worked: string[] = []
    const { ask, origin, bounds } = await start(
      { mails: { pace: 1, per: 'minute', line: 1, longestWait: '1h' } },
      async ({ path }) => {
        worked.push(path)
        return { status: 200, text: 'done' }
      },
    )
    const waiting = () => bounds.counts()[0]!.waiting
    expect((await ask('/0')).status).toBe(200)
    for (const path of ['/1', '/2']) {
      const leaving = httpRequest(origin + path).end()
      leaving.on('error', () => {})
      await eventually(() => expect(waiting()).toBe(1))
      expect((await ask('/full')).status).toBe(429)
      leaving.destroy()
      await eventually(() => expect(waiting()).toBe(0))
    }
    expect(worked).toEqual(['/0'])
  })

  test('a place is free again when its response has ended, and when its client is gone', async () => {
    const { work, ends } = held()
    const { ask, origin } = await start({ reports: { atOnce: 1, by: 'user' } }, work)
    const headers = { 'x-user': 'ann' }
    const first = ask('/r', headers)
    await eventually(() => expect(ends).toHaveLength(1))
    const refused = await ask('/r', headers)
    // No time brings it: it depends on who is in there.
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null])
    expect(refused.headers.get('ratelimit-policy')).toBe('"reports";q=1;qu="concurrent-requests"')
    expect(refused.headers.get('ratelimit')).toBe('"reports";r=0')
    ends[0]!()
    expect((await first).status).toBe(200)
    const leaving = httpRequest(`${origin}/r`, { headers }).end()
    leaving.on('error', () => {})
    await eventually(() => expect(ends).toHaveLength(2))
    leaving.destroy()
    await eventually(async () => {
      const asked = ask('/r', headers)
      const known = ends.length
      const ended = await Promise.race([asked.then(({ status }) => status), until(() => ends.length > known)])
      expect(ended).not.toBe(429)
    })
  })

  test('what failed is given back where that is asked for, and what a handler says costs more', async () => {
    let status = 500
    const { ask } = await start(
      { posts: { atMost: 3, per: 'hour', by: 'user' } },
      async ({ decision }) => {
        if (status === 401) decision?.penalize(1)
        return { status, text: '' }
      },
      { refund: (ended) => ended >= 500 },
    )
    const left = async () => {
      const { headers } = await ask('/x', { 'x-user': 'ann' })
      return Number(parseList(headers.get('ratelimit') ?? '')[0]?.[1].get('r'))
    }
    for (let round = 0; round < 4; round++) await eventually(async () => expect(await left()).toBe(2))
    status = 401
    await eventually(async () => expect(await left()).toBe(2))
    status = 200
    expect(await left()).toBe(0)
  })

  test('costs by name; what costs more than ever allowed has no time to come again', async () => {
    const { ask } = await start({
      uploads: { capacity: 20, refill: 5, per: 'second', by: 'user', cost: 'megabytes' },
    })
    const first = await ask('/u', { 'x-user': 'ann', 'x-megabytes': '15' })
    expect(first.headers.get('ratelimit-policy')).toBe('"uploads";q=20;w=4;spillway-cost="megabytes"')
    expect(first.headers.get('ratelimit')).toMatch(/^"uploads";r=5;t=3$/)
    const refused = await ask('/u', { 'x-user': 'ann', 'x-megabytes': '21' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null])
  })

  test('a function that throws is an error of the app, and not the end of it', async () => {
    const { ask } = await start({ posts: { atMost: 2, per: 'hour', by: 'user' } })
    expect((await ask('/x', { 'x-user': 'unreadable' })).status).toBe(500)
    expect((await ask('/x', { 'x-user': 'ann' })).status).toBe(200)
  })

  test('a path that means what its reader makes of it is refused where rules look at paths', async () => {
    const { origin } = await start({ few: { atMost: 1, per: 'hour', on: 'GET /few/*' } })
    const raw = (path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const { port, hostname } = new URL(origin)
        httpRequest({ port, hostname, path }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await raw('/few/a/../../other')).toBe(400)
    expect(await raw('/few/%2e%2e/other')).toBe(400)
    expect(await raw('/few/a')).toBe(200)
  })
})

function until(condition: () => boolean): Promise<'begun'> {
  return vi.waitUntil(condition, { timeout: 10_000, interval: 5 }).then(() => 'begun')
}
