// Backing off from a real server, by fetch and by undici, with the fields that servers really send.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { backOff } from './back-off.ts'

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Refuses the first one; its clock is an hour ahead, and it says so. */
async function refusesOnce(): Promise<{ readonly origin: string; readonly times: number[] }> {
  const times: number[] = []
  const origin = await serve((incoming, response) => {
    times.push(performance.now())
    const ahead = Date.now() + 3_600_000
    incoming.resume()
    incoming.on('end', () => {
      if (times.length > 1) return void response.end('done')
      response.writeHead(429, {
        date: new Date(ahead).toUTCString(),
        'retry-after': new Date(ahead + 2_000).toUTCString(),
      })
      response.end('x'.repeat(100_000))
    })
  })
  return { origin, times }
}

test('fetch: a date of a server whose clock is wrong, a refusal whose body nobody reads', async () => {
  const { origin, times } = await refusesOnce()
  const get = backOff(fetch)
  const response = await get(origin, { method: 'POST', body: 'x' })
  expect(await response.text()).toBe('done')
  expect(times[1]! - times[0]!).toBeGreaterThan(900)
  expect(times[1]! - times[0]!).toBeLessThan(20_000)
})

test('fetch: a Request without a body', async () => {
  const { origin, times } = await refusesOnce()
  const response = await backOff(fetch)(new Request(`${origin}/a`))
  expect(response.status).toBe(200)
  expect(times).toHaveLength(2)
})

test('undici', async () => {
  const { origin, times } = await refusesOnce()
  const ask = backOff((url: string, init?: Parameters<typeof request>[1]) => request(url, init))
  const { statusCode, body } = await ask(origin, { method: 'PUT', body: 'x' })
  expect(statusCode).toBe(200)
  expect(await body.text()).toBe('done')
  expect(times).toHaveLength(2)
})

test('fields that a server sends twice are one list', async () => {
  const origin = await serve((_incoming, response) => {
    response.setHeader('RateLimit', ['"a";r=5;t=9', '"b";r=0;t=3600'])
    response.end()
  })
  for (const ask of [
    backOff(fetch, { longestWait: '1s' }),
    backOff((url: string) => request(url), { longestWait: '1s' }),
  ]) {
    await ask(origin)
    await expect(ask(origin)).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  }
})
