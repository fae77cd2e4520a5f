// Clients and handlers that do what a door does not expect: streams that are reset, headers that are taken out, answers by somebody else.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import express, { type Request as ExpressRequest } from 'express'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { deferral } from '../../src/limit/http/defer/deferral.ts'
import { memoryDeferStore } from '../../src/limit/http/defer/memory-store.ts'
import { limitExpress } from '../../src/limit/http/door/express.ts'
import { limitNode } from '../../src/limit/http/door/node.ts'
import { limits } from '../../src/limit/limits.ts'
import { listen } from './listen.ts'

const eventually = (expectations: () => void | Promise<void>) =>
  vi.waitFor(expectations, { timeout: 20_000, interval: 20 })

test('a header that a handler takes out is the one by which its place is given back', async () => {
  const bounds = limits({ rules: { work: { atOnce: 1, by: { header: 'x-device' } } } })
  const door = limitNode(bounds)
  const origin = await listen(async (request, response) => {
    if (!(await door(request, response))) return
    delete request.headers['x-device']
    response.end()
  })
  for (let round = 0; round < 3; round++)
    await eventually(async () =>
      expect((await fetch(origin, { headers: { 'x-device': 'd' } })).status).toBe(200),
    )
})

test('a refund that throws is warned of, and the place is given back', async () => {
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  const bounds = limits({ rules: { work: { atOnce: 1 } } })
  const door = limitNode(bounds, {
    refund: () => {
      throw new Error('unreadable')
    },
  })
  const origin = await listen(async (request, response) => {
    if (await door(request, response)) response.end()
  })
  expect((await fetch(origin)).status).toBe(200)
  await eventually(() => {
    expect(warnings).toContain('refund of a door threw: unreadable')
    expect(bounds.decide({ cost: 0 }).states[0]!.remaining).toBe(1)
  })
})

test('a key that throws after the decision gives back what was taken', async () => {
  const bounds = limits({ rules: { work: { atOnce: 1 } } })
  const late = deferral({ queue: { send: async () => {} }, store: memoryDeferStore(), limits: bounds })
  const keys = {
    user: () => {
      throw new Error('unreadable')
    },
  }
  const door = limitNode(bounds, { keys, defer: late })
  const origin = await listen(async (request, response) => {
    const status = await Promise.resolve()
      .then(() => door(request, response))
      .then(
        () => 200,
        () => 500,
      )
    response.writeHead(status).end()
  })
  const keyed = { method: 'POST', headers: { 'idempotency-key': 'k' } }
  expect((await fetch(origin, keyed)).status).toBe(500)
  expect((await fetch(`${origin}/deferred/x`)).status).toBe(500)
  expect(bounds.decide({}).allowed).toBe(true)
})

test('Express: a request that somebody answered while it waited is an error of the app, and not the end of the process', async () => {
  const app = express()
  const bounds = limits({ rules: { work: { atOnce: 1, by: 'user', over: 'wait' } } })
  const held = bounds.decide({ user: 'ann' })
  const thrown: unknown[] = []
  let answered: ServerResponse | undefined
  app.use((_request, response, next) => {
    // Answered, and not ended.
    response.writeHead(200).write('x')
    answered = response
    next()
  })
  app.use(limitExpress(bounds, { keys: { user: (request: ExpressRequest) => request.get('x-user') } }))
  app.use((error: unknown, _request: unknown, response: ServerResponse, _next: unknown) => {
    thrown.push(error)
    response.end()
  })
  const origin = await listen(app)
  const asked = fetch(origin, { headers: { 'x-user': 'ann' } })
  await eventually(() => expect([answered !== undefined, bounds.counts()[0]?.waiting]).toEqual([true, 1]))
  held.release()
  expect(await (await asked).text()).toBe('x')
  expect(thrown).toMatchObject([{ code: 'ERR_HTTP_HEADERS_SENT' }])
})

describe('HTTP/2', () => {
  async function start() {
    const bounds = limits({ rules: { work: { atOnce: 1 } } })
    const ended: number[] = []
    const door = limitNode(bounds, {
      refund: (status) => {
        ended.push(status)
        return false
      },
    })
    const responses: ServerResponse[] = []
    const server = createHttp2Server((request, response) => {
      const [asked, answer] = [request, response] as unknown as [IncomingMessage, ServerResponse]
      if (door(asked, answer) === true) responses.push(answer)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    client.on('error', () => {})
    onTestFinished(() => client.destroy())
    return { bounds, ended, client, responses }
  }

  test('a place is free again when its response has ended, or its stream', async () => {
    const { bounds, ended, client, responses } = await start()
    const first = client.request({ ':path': '/a' })
    first.resume().end()
    await eventually(() => expect(responses).toHaveLength(1))
    expect(bounds.decide({}).allowed).toBe(false)
    responses[0]!.end('done')
    await eventually(() => expect(ended).toEqual([200]))
    const second = client.request({ ':path': '/a' })
    second.on('error', () => {})
    second.end()
    await eventually(() => expect(responses).toHaveLength(2))
    second.destroy()
    await eventually(() => expect(ended).toEqual([200, 0]))
    expect(bounds.decide({}).allowed).toBe(true)
  })

  test('a stream that is gone when the decision comes is not let in', async () => {
    const bounds = limits({ rules: { work: { atOnce: 1 } } })
    const decided = Promise.withResolvers<void>()
    // As limits in a store do, which take their time.
    const door = limitNode({
      decide: (subject) => decided.promise.then(() => bounds.decide(subject)),
      admit: (subject, options) => bounds.admit(subject, options),
      headers: () => [],
    })
    const entered: (boolean | Promise<boolean>)[] = []
    const closed = Promise.withResolvers<void>()
    const server = createHttp2Server((request, response) => {
      response.once('close', closed.resolve)
      entered.push(door(request as never, response as never))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    onTestFinished(() => client.destroy())
    const asked = client.request({ ':path': '/a' })
    asked.on('error', () => {})
    asked.end()
    await eventually(() => expect(entered).toHaveLength(1))
    asked.destroy()
    await closed.promise
    decided.resolve()
    expect(await entered[0]).toBe(false)
    expect(bounds.decide({}).allowed).toBe(true)
  })
})
