// Requests over a limit that are done later: at each door, through a real queue, with a store that survives.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { retry } from '../../src/core/outcome.ts'
import type { Report } from '../../src/core/report.ts'
import type { DeferredRequest } from '../../src/limit/defer.ts'
import { type DeferralOptions, type DeferredWork, deferral } from '../../src/limit/http/defer/deferral.ts'
import { deferredQueue } from '../../src/limit/http/defer/deferred-queue.ts'
import { sqliteDeferStore } from '../../src/limit/http/defer/sqlite-store.ts'
import { limits } from '../../src/limit/limits.ts'
import type { Rules } from '../../src/limit/rule/rule.ts'
import { open, Spillway } from '../../src/spillway.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { type App, apps } from './door-apps.ts'

const eventually = (expectations: () => void | Promise<void>) =>
  vi.waitFor(expectations, { timeout: 20_000, interval: 20 })

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'spillway-deferred-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

interface Seen {
  readonly status: string
  readonly location: string
  readonly result?: { readonly status: number; readonly body?: string }
}

/** Nobody gets a second one, until `allow` says otherwise. */
function once(most = 1): Rules {
  return { orders: { atMost: most, per: 'hour', by: 'user', on: '* /orders', over: 'defer' } }
}

async function start(app: App, rules: Rules = once(), options: Partial<DeferralOptions> = {}) {
  const place = folder()
  // Doors are tried on an engine in memory, working off on one with a file.
  const spillway = app === apps[0] ? await open(`sqlite:${place}`) : new Spillway(memory())
  onTestFinished(() => spillway.close())
  const handle = new DatabaseSync(join(place, 'deferred.db'))
  onTestFinished(() => handle.close())
  const queue = await spillway.queue('late', deferredQueue())
  const bounds = limits({ rules })
  const late = deferral({ queue, store: sqliteDeferStore(handle), limits: bounds, expires: '2h', ...options })
  const taken: string[] = []
  const origin = await app.start(
    bounds,
    async ({ path }) => {
      taken.push(path)
      return { status: 200, text: 'at once' }
    },
    { defer: late },
  )
  const ask = async (path: string, body: string | undefined, headers: Readonly<Record<string, string>>) => {
    const response = await fetch(origin + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    return { response, status: response.status, text, seen: () => JSON.parse(text) as Seen }
  }
  const consume = (work: DeferredWork, authorize: (request: DeferredRequest) => boolean = () => true) => {
    const consumer = queue.consume(late.workOff(work, { authorize }), { concurrency: 4 })
    onTestFinished(() => consumer.stop({ deadlineMs: 0 }))
  }
  const allow = () => bounds.reload(once(1_000))
  return { ask, consume, taken, allow, bounds }
}

describe.each(apps)('$name', (app) => {
  test('202 with an address, worked off in order when the limit allows it, told of there and to nobody else', async () => {
    const { ask, consume, taken, allow } = await start(app)
    const ann = { 'x-user': 'ann', 'content-type': 'text/plain' }
    expect((await ask('/orders', 'a', ann)).text).toBe('at once')
    const second = await ask('/orders?x=1', 'größe', ann)
    expect(second.status).toBe(202)
    const { location } = second.seen()
    expect(second.response.headers.get('location')).toBe(location)
    expect(Number(second.response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    const third = await ask('/orders', 'c', ann)
    expect(third.status).toBe(202)
    const state = await ask(location, undefined, ann)
    expect([state.status, state.seen().status]).toEqual([200, 'queued'])
    expect(state.response.headers.get('cache-control')).toBe('no-store')
    expect((await ask(location, undefined, { 'x-user': 'bob' })).status).toBe(404)
    // What is safe is asked again, not put off.
    const done: DeferredRequest[] = []
    allow()
    consume((request) => {
      done.push(request)
      return { status: 201, body: `made of ${request.body}` }
    })
    await eventually(async () => {
      const ends = await Promise.all([second, third].map((each) => ask(each.seen().location, undefined, ann)))
      expect(ends.map((each) => each.seen())).toMatchObject([
        { status: 'done', result: { status: 201, body: 'made of größe' } },
        { status: 'done', result: { status: 201, body: 'made of c' } },
      ])
    })
    expect(done.map(({ target, method, headers }) => [method, target, headers['content-type']])).toEqual([
      ['POST', '/orders?x=1', 'text/plain'],
      ['POST', '/orders', 'text/plain'],
    ])
    expect(taken).toHaveLength(1)
  })

  test('the same key is done once, and another request under it is refused', async () => {
    const { ask } = await start(app, once())
    const ann = { 'x-user': 'ann', 'idempotency-key': 'k1' }
    expect((await ask('/orders', 'a', ann)).status).toBe(200)
    const put = await Promise.all([1, 2, 3].map(() => ask('/orders', 'b', ann)))
    expect(put.map(({ status }) => status)).toEqual([202, 202, 202])
    expect(new Set(put.map(({ seen }) => seen().location)).size).toBe(1)
    expect((await ask('/orders', 'other', ann)).status).toBe(422)
    expect((await ask('/orders', 'b', { ...ann, 'idempotency-key': 'x'.repeat(201) })).status).toBe(400)
    // Another one's key of the same name is another key.
    const bob = { ...ann, 'x-user': 'bob' }
    expect((await ask('/orders', 'b', bob)).status).toBe(200)
    expect((await ask('/orders', 'b', bob)).seen().location).not.toBe(put[0]!.seen().location)
    // What changes nothing is not put off.
    const read = await ask('/orders', undefined, ann)
    expect([read.status, read.response.headers.get('retry-after') !== null]).toEqual([429, true])
  })

  test('a key that was deferred is not done at once as well when the limit allows it meanwhile', async () => {
    const { ask, consume, taken, allow } = await start(app)
    const ann = { 'x-user': 'ann', 'idempotency-key': 'k1' }
    expect((await ask('/orders', 'a', { 'x-user': 'ann' })).status).toBe(200)
    const put = await ask('/orders', 'b', ann)
    expect(put.status).toBe(202)
    allow()
    const again = await ask('/orders', 'b', ann)
    expect([again.status, again.seen().location]).toEqual([202, put.seen().location])
    expect((await ask('/orders', 'other', ann)).status).toBe(422)
    const keys: unknown[] = []
    consume(({ headers }) => {
      keys.push(headers['idempotency-key'])
      return { status: 201 }
    })
    await eventually(async () => expect((await ask('/orders', 'b', ann)).seen().status).toBe('done'))
    expect(keys).toEqual(['k1'])
    // A key that nobody knows is let in, and what was asked again has cost nothing.
    expect((await ask('/orders', 'c', { ...ann, 'idempotency-key': 'k2' })).status).toBe(200)
    expect(taken).toHaveLength(2)
  })

  test('what is too much for the queue, or too large, is refused', async () => {
    const { ask } = await start(app, once(), { depth: 3, perOwner: 2, maxBodyBytes: 1_000 })
    const statuses = async (user: string, times: number) => {
      const found: number[] = []
      for (let each = 0; each < times; each++)
        found.push((await ask('/orders', 'a', { 'x-user': user })).status)
      return found
    }
    expect(await statuses('ann', 4)).toEqual([200, 202, 202, 429])
    expect(await statuses('bob', 1)).toEqual([200])
    expect((await ask('/orders', 'x'.repeat(1_001), { 'x-user': 'bob' })).status).toBe(413)
    expect(await statuses('bob', 2)).toEqual([202, 429])
  })
})

describe('working off', () => {
  const node = apps[0]!
  const ann = { 'x-user': 'ann' }

  test('is authorized again, may try again, and what throws has failed without its reason, which is reported', async () => {
    const reports: Report[] = []
    const { ask, consume, allow } = await start(node, once(), { onReport: (report) => reports.push(report) })
    expect((await ask('/orders', 'now', ann)).status).toBe(200)
    const put: string[] = []
    for (const body of ['forbidden', 'twice', 'throws'])
      put.push((await ask('/orders', body, ann)).seen().location)
    let tries = 0
    allow()
    consume(
      ({ body }) => {
        if (body === 'throws') throw new Error('password=hunter2')
        tries += 1
        return tries === 1 ? retry({ after: 1 }) : { status: 200 }
      },
      ({ body }) => body !== 'forbidden',
    )
    await eventually(async () => {
      const ends = await Promise.all(put.map((location) => ask(location, undefined, ann)))
      expect(ends.map((each) => each.seen())).toMatchObject([
        { status: 'failed', result: { status: 403 } },
        { status: 'done', result: { status: 200 } },
        { status: 'failed', result: { status: 500 } },
      ])
      expect(ends.map(({ text }) => text).join()).not.toContain('hunter2')
    })
    expect(tries).toBe(2)
    expect(reports.map(({ error }) => [error.code, error.message])).toEqual([
      [
        'HANDLER_FAILED',
        expect.stringContaining('POST /orders failed when it was worked off: password=hunter2'),
      ],
    ])
    expect(put[2]).toContain(reports[0]!.messageId)
  })

  test('why clients are told 503 is reported', async () => {
    const handle = new DatabaseSync(':memory:')
    const store = sqliteDeferStore(handle)
    const reports: Report[] = []
    const { ask } = await start(node, once(), { store, onReport: (report) => reports.push(report) })
    expect((await ask('/orders', 'now', ann)).status).toBe(200)
    handle.close()
    const keyed = { ...ann, 'idempotency-key': 'k' }
    expect((await ask('/orders', 'late', ann)).status).toBe(503)
    expect((await ask('/orders', 'late', keyed)).status).toBe(503)
    expect((await ask(`/deferred/${'x'.repeat(43)}`, undefined, ann)).status).toBe(503)
    expect(reports.map(({ from, error }) => [from, error.code])).toEqual(
      [1, 2, 3].map(() => ['deferral()', 'ENGINE_FAILED']),
    )
  })

  test('waits until the limit allows it', async () => {
    const rules: Rules = { orders: { atMost: 1, per: '2s', by: 'user', on: 'POST /orders', over: 'defer' } }
    const { ask, consume } = await start(node, rules)
    const times: number[] = []
    let location = ''
    consume(() => {
      times.push(performance.now())
      return { status: 200 }
    })
    await eventually(async () => {
      const before = performance.now()
      const put = await ask('/orders', 'x', ann)
      if (put.status === 200) times.splice(0, times.length, before)
      expect(put.status).toBe(202)
      location = put.seen().location
    })
    await eventually(async () => expect((await ask(location, undefined, ann)).seen().status).toBe('done'))
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(2_000)
  })

  test('what is past its end is not done', async () => {
    const rules: Rules = { orders: { atOnce: 1, on: 'POST /orders', over: 'defer' } }
    const { ask, consume, bounds } = await start(node, rules, { expires: '200ms' })
    bounds.decide({ on: 'POST /orders' })
    const { location } = (await ask('/orders', 'late', ann)).seen()
    let done = 0
    consume(() => {
      done += 1
      return { status: 200 }
    })
    await eventually(async () => expect((await ask(location, undefined, ann)).seen().status).toBe('expired'))
    expect(done).toBe(0)
  })

  test('what the store does not take in the end is tried again, and not told to have failed', async () => {
    const handle = new DatabaseSync(':memory:')
    onTestFinished(() => handle.close())
    const store = sqliteDeferStore(handle)
    let isAway = true
    const end: typeof store.end = async (...told) => {
      if (isAway) {
        isAway = false
        throw new Error('away')
      }
      await store.end(...told)
    }
    const { ask, consume, allow } = await start(node, once(), { store: { ...store, end } })
    expect((await ask('/orders', 'now', ann)).status).toBe(200)
    const { location } = (await ask('/orders', 'late', ann)).seen()
    const ids: string[] = []
    allow()
    consume(({ id }) => {
      ids.push(id)
      return { status: 200 }
    })
    await eventually(async () => expect((await ask(location, undefined, ann)).seen().status).toBe('done'))
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(1)
  })

  test('a place that others hold is waited for, and not for long', async () => {
    const rules: Rules = { orders: { atOnce: 1, on: 'POST /orders', over: 'defer' } }
    const { ask, consume, bounds } = await start(node, rules, { expires: '30s' })
    const held = bounds.decide({ on: 'POST /orders' })
    const put = await ask('/orders', 'x', ann)
    expect(put.response.headers.get('retry-after')).not.toBeNull()
    const { location } = put.seen()
    let asked = 0
    consume(
      () => ({ status: 200 }),
      () => {
        asked += 1
        return true
      },
    )
    await eventually(() => expect(asked).toBeGreaterThan(1))
    expect((await ask(location, undefined, ann)).seen().status).toBe('queued')
    held.release()
    await eventually(async () => expect((await ask(location, undefined, ann)).seen().status).toBe('done'))
  })

  test('a flood of one client holds up nobody', async () => {
    const { ask, consume, allow } = await start(node, once(), { perOwner: 50 })
    const flood: number[] = []
    for (const user of ['ann', 'bob'])
      expect((await ask('/orders', 'now', { 'x-user': user })).status).toBe(200)
    for (let each = 0; each < 60; each++) flood.push((await ask('/orders', `a${each}`, ann)).status)
    expect(flood).toEqual([...Array(50).fill(202), ...Array(10).fill(429)])
    expect((await ask('/orders', 'b', { 'x-user': 'bob' })).status).toBe(202)
    const order: string[] = []
    allow()
    consume(({ body }) => {
      order.push(body)
      return { status: 200 }
    })
    await eventually(() => expect(order).toHaveLength(51))
    // Whoever came last has his turn among the first; those of one owner stay in their order.
    expect(order.indexOf('b')).toBeLessThan(10)
    expect(order.filter((body) => body !== 'b')).toEqual(Array.from({ length: 50 }, (_, each) => `a${each}`))
  })

  test('two that ask at once with one key: what one could not put on the queue, the other one could', async () => {
    const sent: string[] = []
    const first = Promise.withResolvers<void>()
    const { ask } = await start(node, once(), {
      queue: {
        send: async ({ id }) => {
          sent.push(id)
          if (sent.length === 1) await first.promise
        },
      },
    })
    const headers = { ...ann, 'idempotency-key': 'k' }
    expect((await ask('/orders', 'now', headers)).status).toBe(200)
    const [refused, put] = await Promise.all([
      ask('/orders', 'late', headers),
      vi
        .waitFor(() => expect(sent).toHaveLength(1), { timeout: 20_000, interval: 5 })
        .then(() => ask('/orders', 'late', headers))
        .finally(() => first.reject(new Error('away'))),
    ])
    expect([refused.status, put.status]).toEqual([503, 202])
    expect((await ask(put.seen().location, undefined, ann)).seen().status).toBe('queued')
  })

  test('a queue that is away is said to be, and nothing is left behind', async () => {
    let away = true
    const sent: string[] = []
    const { ask } = await start(node, once(), {
      queue: {
        send: async ({ id }) => {
          if (away) throw new Error('away')
          sent.push(id)
        },
      },
    })
    const headers = { ...ann, 'idempotency-key': 'k' }
    expect((await ask('/orders', 'now', headers)).status).toBe(200)
    expect((await ask('/orders', 'late', headers)).status).toBe(503)
    away = false
    const put = await ask('/orders', 'late', headers)
    expect(put.status).toBe(202)
    expect(sent).toHaveLength(1)
  })
})

test('what became of it is told to who had to wait for his turn, too', async () => {
  const { ask } = await start(apps[0]!, { ...once(), all: { pace: 10, per: 'second', by: 'user' } })
  const ann = { 'x-user': 'ann' }
  await ask('/orders', 'a', ann)
  const { location } = (await ask('/orders', 'b', ann)).seen()
  const told = await Promise.all([1, 2, 3].map(() => ask(location, undefined, ann)))
  expect(told.map(({ status, seen }) => [status, seen().status])).toEqual(
    Array.from({ length: 3 }, () => [200, 'queued']),
  )
})
