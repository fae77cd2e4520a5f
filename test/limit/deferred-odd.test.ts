// Deferral where things go otherwise: keys asked again and again, work that ends too late or dies, long names, bodies that somebody has read.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve as serveHono } from '@hono/node-server'
import express, { type Request as ExpressRequest } from 'express'
import { type Context, Hono } from 'hono'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import type { DeferredRequest } from '../../src/limit/defer.ts'
import { type Deferral, type DeferralOptions, deferral } from '../../src/limit/http/defer/deferral.ts'
import { deferredQueue } from '../../src/limit/http/defer/deferred-queue.ts'
import { memoryDeferStore } from '../../src/limit/http/defer/memory-store.ts'
import { limitExpress } from '../../src/limit/http/door/express.ts'
import { limitHono } from '../../src/limit/http/door/hono.ts'
import { limitNode } from '../../src/limit/http/door/node.ts'
import { limits } from '../../src/limit/limits.ts'
import type { Rules } from '../../src/limit/rule/rule.ts'
import { sharedLimits } from '../../src/limit/shared/shared-limits.ts'
import { Spillway } from '../../src/spillway.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { listen } from './listen.ts'

const rules: Rules = { orders: { atMost: 1, per: 'hour', by: 'user', on: 'POST /orders', over: 'defer' } }

const banning: Rules = {
  address: { atMost: 1, per: 'hour', by: 'address', ban: { after: 2, within: '1h', for: '1m' } },
}

/** What is put on a queue is seen, and nobody works it off. */
function seen(options: Partial<DeferralOptions> = {}) {
  const sent: DeferredRequest[] = []
  const queue = { send: async (request: DeferredRequest) => void sent.push(request) }
  const bounds = limits({ rules })
  const late = deferral({ queue, store: memoryDeferStore(), limits: bounds, expires: '2h', ...options })
  return { sent, bounds, late }
}

const asking = {
  key: 'k',
  owner: 'o',
  method: 'POST',
  target: '/orders',
  headers: {},
  body: 'b',
  subject: { on: 'POST /orders', user: 'ann' },
} as const

const keys = { user: ({ headers }: IncomingMessage) => headers['x-user']?.toString() }

const onNode = (late: Deferral, bounds = limits({ rules })) => {
  const door = limitNode(bounds, { keys, defer: late })
  return listen(async (request, response) => {
    if (await door(request, response)) response.end('at once')
  })
}

const post = (origin: string, user: string, more: RequestInit = {}) =>
  fetch(`${origin}/orders`, { method: 'POST', headers: { 'x-user': user }, body: 'größe', ...more })

test('who asks again and again with his key is on the queue once', async () => {
  const spillway = new Spillway(memory())
  onTestFinished(() => spillway.close())
  const queue = await spillway.queue('late', deferredQueue())
  const { late } = seen({ queue, depth: 3 })
  for (let round = 0; round < 10; round++)
    expect(await late.put(asking)).toMatchObject({ kind: 'known', state: { status: 'queued' } })
  expect(await queue.count()).toMatchObject({ ready: 1 })
})

describe('work that has begun', () => {
  function started(end: () => Promise<void> = async () => {}) {
    let nowMs = Date.now()
    const store = memoryDeferStore()
    const { sent, late } = seen({
      limits: limits({ rules: { orders: { atMost: 9, per: 'hour', by: 'user' } } }),
      clock: { ...systemClock, now: () => nowMs },
      store: {
        begin: (...told) => store.begin(...told),
        get: (...told) => store.get(...told),
        extend: (...told) => store.extend(...told),
        drop: (...told) => store.drop(...told),
        end: (...told) => end().then(() => store.end(...told)),
      },
    })
    const status = async () => (await late.state(sent[0]!.id, 'o'))?.status
    const pass = () => {
      nowMs = sent[0]!.expiresAt + 1
    }
    return { sent, late, status, pass }
  }

  const { signal } = new AbortController()

  test('is not told to have expired while it goes on past its end', async () => {
    const { sent, late, status, pass } = started()
    await late.put(asking)
    const [begun, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const run = late.workOff(
      async () => {
        begun.resolve()
        await done.promise
        return { status: 201 }
      },
      { authorize: () => true },
    )
    const working = run({ data: sent[0]! }, { signal })
    await begun.promise
    pass()
    expect(await status()).toBe('queued')
    done.resolve()
    await working
    expect(await status()).toBe('done')
  })

  test('and whose process died is done again past its end, not told to have expired', async () => {
    let isDead = true
    const { sent, late, status, pass } = started(async () => {
      if (isDead) throw new Error('the process is dead')
    })
    await late.put(asking)
    const ids: string[] = []
    const run = late.workOff(
      ({ id }) => {
        ids.push(id)
        return { status: 201 }
      },
      { authorize: () => true },
    )
    await expect(run({ data: sent[0]! }, { signal })).rejects.toThrow('dead')
    isDead = false
    pass()
    expect(await status()).toBe('queued')
    await run({ data: sent[0]! }, { signal })
    expect(await status()).toBe('done')
    expect(new Set(ids)).toEqual(new Set([sent[0]!.id]))
    expect(ids).toHaveLength(2)
  })
})

describe.each([
  ['of this process', () => limits({ rules: banning })],
  ['in a store', () => sharedLimits({ rules: banning, store: memory().limit!, timeoutMs: 10_000 })],
])('limits %s', (_name, make) => {
  test('nobody is banned for what is tried for him', async () => {
    const bounds = make()
    const subject = { on: 'POST /orders', address: '203.0.113.7' }
    const { sent, late } = seen({ limits: bounds })
    expect((await bounds.decide(subject)).allowed).toBe(true)
    await late.put({ ...asking, subject })
    const run = late.workOff(() => ({ status: 201 }), { authorize: () => true })
    for (let round = 0; round < 5; round++)
      expect(await run({ data: sent[0]! }, new AbortController())).toMatchObject({ outcome: 'retry' })
    expect(bounds.counts()[0]?.bans).toBe(0)
    // Who comes himself offends.
    for (let round = 0; round < 2; round++) await bounds.decide(subject)
    expect(bounds.counts()[0]?.bans).toBe(1)
  })
})

test('users with names of any length are owners, each of his own', async () => {
  const spillway = new Spillway(memory())
  onTestFinished(() => spillway.close())
  const bounds = limits({ rules })
  const { late } = seen({ queue: await spillway.queue('late', deferredQueue()), limits: bounds })
  const origin = await onNode(late, bounds)
  const [ann, bob] = ['a', 'b'].map((end) => 'x'.repeat(5_000) + end) as [string, string]
  for (const user of [ann, bob]) expect((await post(origin, user)).status).toBe(200)
  const states = await Promise.all([ann, bob].map((user) => post(origin, user)))
  expect(states.map(({ status }) => status)).toEqual([202, 202])
  const address = origin + states[0]!.headers.get('location')
  const found = await Promise.all([ann, bob].map((user) => fetch(address, { headers: { 'x-user': user } })))
  expect(found.map(({ status }) => status)).toEqual([200, 404])
})

test('what no limit allows before its end is refused, with the time to come again, and not promised', async () => {
  const every = (per: 'minute' | 'hour'): Rules => ({
    orders: { atMost: 1, per, by: 'user', on: 'POST /orders', over: 'defer' },
  })
  const bounds = limits({ rules: every('minute') })
  const { late, sent } = seen({ limits: bounds, expires: '10m' })
  const origin = await onNode(late, bounds)
  const headers = { 'x-user': 'ann', 'idempotency-key': 'k' }
  expect((await post(origin, 'ann')).status).toBe(200)
  expect((await post(origin, 'ann', { headers })).status).toBe(202)
  bounds.reload(every('hour'))
  const refused = await post(origin, 'ann')
  expect([refused.status, Number(refused.headers.get('retry-after')) > 3_000]).toEqual([429, true])
  // What was promised is told of.
  expect((await post(origin, 'ann', { headers })).status).toBe(202)
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1)
})

test('headers by which rules bound go with the request, also those of rules that came later', async () => {
  const byHeader = (name: string): Rules => ({
    orders: { atMost: 1, per: 'hour', by: { header: name }, on: 'POST /orders', over: 'defer' },
  })
  const bounds = limits({ rules: byHeader('X-Device') })
  const { sent, late } = seen({ limits: bounds, headers: ['x-shop'] })
  const origin = await onNode(late, bounds)
  const headers = { 'x-user': 'ann', 'x-device': 'd', 'x-app': 'a', 'x-shop': 's', cookie: 'secret' }
  expect((await post(origin, 'ann', { headers })).status).toBe(200)
  expect((await post(origin, 'ann', { headers })).status).toBe(202)
  bounds.reload(byHeader('X-App'))
  expect((await post(origin, 'ann', { headers })).status).toBe(200)
  expect((await post(origin, 'ann', { headers })).status).toBe(202)
  const plain = { 'content-type': 'text/plain;charset=UTF-8', 'x-shop': 's' }
  expect(sent.map(({ headers: kept }) => kept)).toEqual([
    { ...plain, 'x-device': 'd' },
    { ...plain, 'x-app': 'a' },
  ])
})

test('a part that nobody waited for is refused at once', () => {
  const { late, bounds } = seen()
  const queue = { send: async () => {} }
  expect(late.at).toBe('/deferred/')
  for (const wrong of [
    { queue: Promise.resolve(queue), store: memoryDeferStore(), limits: bounds },
    { queue, store: Promise.resolve(memoryDeferStore()), limits: bounds },
    { queue, store: memoryDeferStore(), limits: undefined },
  ])
    expect(() => deferral(wrong as never)).toThrow(/await/)
})

describe('bodies', () => {
  const twice = async (origin: string, body: string | Uint8Array<ArrayBuffer> = 'größe') => {
    expect((await post(origin, 'ann', { body })).status).toBe(200)
    return (await post(origin, 'ann', { body })).status
  }

  const onExpress = (late: Deferral, before: express.RequestHandler) => {
    const app = express()
    app.use(before)
    const user = (request: ExpressRequest) => request.get('x-user')
    app.use(limitExpress(limits({ rules }), { keys: { user }, defer: late }))
    app.use((_request, response) => void response.end())
    app.use((_error: unknown, _request: unknown, response: ServerResponse, _next: unknown) => {
      response.writeHead(500).end()
    })
    return listen(app)
  }

  test('that a parser left as bytes are text all the same', async () => {
    const { sent, late } = seen()
    expect(await twice(await onExpress(late, express.raw({ type: '*/*' })), '\ufeffgröße')).toBe(202)
    expect(sent[0]!.body).toBe('\ufeffgröße')
  })

  test('that a parser has not read are read', async () => {
    const { sent, late } = seen()
    const origin = await onExpress(late, (request, _response, next) => {
      request.body = {}
      next()
    })
    expect(await twice(origin)).toBe(202)
    expect(sent[0]!.body).toBe('größe')
  })

  test('that are no text are refused by the limit', async () => {
    const { sent, late } = seen()
    expect(await twice(await onNode(late), Uint8Array.of(0x1f, 0x8b, 0x08))).toBe(429)
    expect(sent).toEqual([])
  })

  test('that somebody has read and left nowhere are an error, and never empty', async () => {
    const { sent, late } = seen()
    const origin = await onExpress(late, (request, _response, next) => {
      request.resume().on('end', next)
    })
    expect(await twice(origin)).toBe(500)
    expect((await post(origin, 'ann', { body: null })).status).toBe(202)
    expect(sent.map(({ body }) => body)).toEqual([''])
  })

  test('that Hono has read are asked of Hono', async () => {
    const { sent, late } = seen()
    const app = new Hono<{ Bindings: HttpBindings }>()
    app.use(async (context, next) => {
      await context.req.text()
      await next()
    })
    const user = (context: Context) => context.req.header('x-user')
    app.use(limitHono(limits({ rules }), { keys: { user }, defer: late }))
    app.all('*', (context) => context.text('at once'))
    const server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
    onTestFinished(() => void server.close())
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
    expect(await twice(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).toBe(202)
    const elsewhere = () =>
      app.request('/orders', { method: 'POST', headers: { 'x-user': 'ann' }, body: 'anderswo' })
    expect((await elsewhere()).status).toBe(202)
    expect(sent.map(({ body }) => body)).toEqual(['größe', 'anderswo'])
  })
})
