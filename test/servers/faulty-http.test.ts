/** The proxy itself: each fate is what it says, at the caller and at the server, and the same seed draws the same ones. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Fate, FaultyHttp, type FaultyHttpOptions, fates } from './faulty-http.ts'

const answer = JSON.stringify({ answer: 'x'.repeat(1_000) })

/** A server that counts what reaches it, with a faulty network in front. */
async function behind(options: Omit<FaultyHttpOptions, 'target'> = {}, more: RequestListener = () => {}) {
  const seen: { readonly path: string; readonly body: string; readonly key: unknown }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ path: request.url ?? '', body, key: request.headers['idempotency-key'] })
    more(request, response)
    if (request.url === '/never') return
    response.writeHead(201, { 'content-type': 'application/json', 'x-own': 'kept' }).end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const proxy = await FaultyHttp.start({ ...options, target })
  onTestFinished(async () => {
    await proxy.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const ask = (path = '/calls/a', signal?: AbortSignal) =>
    fetch(`${proxy.url}${path}`, {
      method: 'POST',
      body: 'asked',
      headers: { 'idempotency-key': 'k1' },
      ...(signal ? { signal } : {}),
    })
  return { proxy, seen, ask }
}

const always = (fate: Fate) => ({ fate: () => fate })

test('what goes well is passed on as it is, in both directions', async () => {
  const { proxy, seen, ask } = await behind()
  const response = await ask('/calls/a?batch')
  expect(response.status).toBe(201)
  expect(response.headers.get('x-own')).toBe('kept')
  expect(await response.text()).toBe(answer)
  expect(seen).toEqual([{ path: '/calls/a?batch', body: 'asked', key: 'k1' }])
  expect(proxy.counts).toMatchObject({ well: 1, sentOn: 1, answered: 1, failed: 0 })
})

const patient = { timeout: 20_000 }

test.each<[Fate, { readonly seen: number; readonly hears?: RegExp }]>([
  ['lost request', { seen: 0 }],
  ['reset', { seen: 0, hears: /ECONNRESET|other side closed/ }],
  ['lost answer', { seen: 1 }],
  ['reset answer', { seen: 1, hears: /ECONNRESET|other side closed/ }],
  ['cut answer', { seen: 1, hears: /terminated|other side closed|ECONNRESET/ }],
])('%s: the server sees it or does not, and no answer comes', async (fate, { seen, hears }) => {
  const subject = await behind(always(fate))
  const givingUp = new AbortController()
  let heard: string | undefined
  const asking = subject
    .ask('/calls/a', givingUp.signal)
    .then((response) => response.text())
    .then(
      (text) => assert.fail(`it was answered: ${text}`),
      (error: Error) => {
        heard = `${error.message} ${describe(error.cause)}`
      },
    )
  await vi.waitFor(() => {
    expect(subject.seen).toHaveLength(seen)
    expect(subject.proxy.counts).toMatchObject({ [fate]: 1, sentOn: seen, answered: seen })
  }, patient)
  if (hears === undefined) {
    await pause(100)
    expect(heard).toBeUndefined()
    givingUp.abort()
  }
  await asking
  expect(heard).toMatch(hears ?? /abort/)
})

function describe(cause: unknown): string {
  return cause instanceof Error ? `${cause.message} ${(cause as { code?: string }).code ?? ''}` : ''
}

test.each<[Fate, number]>([
  ['delayed', 0],
  ['late answer', 1],
])('%s: it takes its time', async (fate, seenBefore) => {
  const { seen, ask } = await behind({ ...always(fate), delayMs: 2_000, lateMs: 1_000, seed: 3 })
  const start = performance.now()
  const response = ask()
  if (seenBefore === 1) await vi.waitFor(() => expect(seen).toHaveLength(1), patient)
  else expect(seen).toHaveLength(0)
  expect(await (await response).text()).toBe(answer)
  expect(performance.now() - start).toBeGreaterThan(100)
  expect(seen).toHaveLength(1)
})

test('who gives up is heard of by the server', async () => {
  const gone = vi.fn()
  const { seen, ask } = await behind({}, (_, response) => response.on('close', gone))
  const controller = new AbortController()
  const asking = ask('/never', controller.signal)
  await vi.waitFor(() => expect(seen).toHaveLength(1), patient)
  controller.abort()
  await expect(asking).rejects.toThrow()
  await vi.waitFor(() => expect(gone).toHaveBeenCalled(), patient)
})

test('a server that is away is a reset', async () => {
  const { proxy, ask } = await behind()
  proxy.aim('http://127.0.0.1:9')
  await expect(ask()).rejects.toThrow()
  expect(proxy.counts).toMatchObject({ sentOn: 1, answered: 0, failed: 1 })
})

test('a seed draws the same fates each time, by the odds that hold', async () => {
  const odds = { reset: 0.3, 'reset answer': 0.3, 'cut answer': 0.2 }
  const history = async (seed: number) => {
    const drawn: Fate[] = []
    const { proxy, ask } = await behind({
      seed,
      odds,
      fate: (_, fate) => {
        drawn.push(fate)
        return fate
      },
    })
    const asking = async () => await (await ask()).text()
    for (let time = 0; time < 60; time++) await asking().catch(() => {})
    proxy.become({})
    for (let time = 0; time < 10; time++) await asking()
    expect(drawn.slice(60)).toEqual(Array(10).fill('well'))
    for (const fate of fates) expect(proxy.counts[fate]).toBe(drawn.filter((one) => one === fate).length)
    return drawn
  }
  const [once, again, other] = [await history(7), await history(7), await history(8)]
  expect(again).toEqual(once)
  expect(other).not.toEqual(once)
  for (const fate of Object.keys(odds) as Fate[])
    expect(once.filter((one) => one === fate).length).toBeGreaterThan(4)
})

test('odds are shares of one', async () => {
  const { proxy } = await behind()
  expect(() => proxy.become({ reset: 0.6, delayed: 0.6 })).toThrow(RangeError)
  expect(() => proxy.become({ reset: -1 })).toThrow(RangeError)
})
