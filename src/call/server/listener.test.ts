// The listener under clients that are slow, gone, too many or send what is no HTTP: each is dealt with, and the process goes on.
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { call } from '../../core/call-contract.ts'
import { systemClock } from '../../core/clock.ts'
import { context } from '../../core/contract.ts'
import { unchecked } from '../../core/schema.ts'
import type { UnitHome } from '../../transaction/unit.ts'
import type { QueryContext } from './answer.ts'
import type { AnswerOptions } from './answerer.ts'
import { answerersOf } from './answerers.ts'
import { Listener, type ListenerOptions } from './listener.ts'

vi.setConfig({ testTimeout: 20_000 })

const { wait } = context('room', {
  calls: { wait: call({ input: unchecked<number>(), output: unchecked<string>() }) },
}).calls
const path = '/calls/room.wait/1'

const home: UnitHome<undefined> = {
  context: 'room',
  database: undefined,
  deliver: async () => {},
  cancel: async () => 'unknown',
  timeoutMs: 1_000,
}

const listeners: Listener[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(listeners.splice(0).map((each) => each.stop({ deadlineMs: 0 })))
})

type Handler = (input: number, context: QueryContext<undefined>) => string | Promise<string>

async function listen(query: Handler, options: AnswerOptions = {}, more: Partial<ListenerOptions> = {}) {
  const listener = await Listener.open({ listen: 'http://127.0.0.1:0', clock: systemClock, ...more })
  listeners.push(listener)
  for (const answerer of answerersOf(home, [{ call: wait, options, query: query as never }]))
    listener.add(answerer)
  const ask = (input: number, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(listener.address + path, {
      method: 'POST',
      body: String(input),
      headers: { 'content-type': 'application/json', ...headers },
      signal: signal ?? null,
    })
  return { listener, ask, port: Number(new URL(listener.address).port) }
}

function raw(port: number, bytes: string | Uint8Array): { readonly closed: Promise<string> } {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  socket.write(bytes)
  return { closed: new Promise((resolve) => socket.on('close', () => resolve(text))) }
}

/** A handler that waits to be let go. */
function held() {
  const gate = Promise.withResolvers<void>()
  const ended: string[] = []
  let inside = 0
  let most = 0
  const handler: Handler = async (input, { signal }) => {
    inside += 1
    most = Math.max(most, inside)
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    await Promise.race([gate.promise, aborted])
    ended.push(signal.aborted ? 'aborted' : 'done')
    inside -= 1
    return `answer ${input}`
  }
  return { handler, gate, ended, inside: () => inside, most: () => most }
}

test('so many at a time, a line of so many, and the rest is told to come again', async () => {
  const { handler, gate, inside, most } = held()
  const { ask } = await listen(handler, { concurrency: 2, waiting: 3 })
  const asked = Array.from({ length: 9 }, (_, index) => ask(index))
  const statuses: number[] = []
  for (const each of asked) void each.then(({ status }) => statuses.push(status))
  await vi.waitFor(() => expect([inside(), statuses]).toEqual([2, [503, 503, 503, 503]]))
  gate.resolve()
  const replies = await Promise.all(asked)
  expect(replies.filter(({ status }) => status === 200).length).toBe(5)
  for (const reply of replies.filter(({ status }) => status === 503)) {
    expect(reply.headers.get('retry-after')).toBe('1')
    expect(await reply.json()).toMatchObject({ code: 'OVERLOADED' })
  }
  expect(most()).toBe(2)
  expect((await ask(1)).status).toBe(200)
})

test('who waits in the line until its deadline was not begun: 503, and its place is free', async () => {
  const { handler, gate, ended, inside } = held()
  const { ask } = await listen(handler, { concurrency: 1, waiting: 1 })
  const first = ask(1)
  await vi.waitFor(() => expect(inside()).toBe(1))
  const second = await ask(2, { 'spillway-deadline': '40' })
  expect(second.status).toBe(503)
  const third = ask(3)
  gate.resolve()
  expect([(await first).status, (await third).status]).toEqual([200, 200])
  expect(ended).toEqual(['done', 'done'])
})

test('a handler that goes on after its deadline keeps its place until it ends', async () => {
  const gate = Promise.withResolvers<string>()
  const { ask } = await listen(() => gate.promise, { concurrency: 1, waiting: 0 })
  expect((await ask(1, { 'spillway-deadline': '30' })).status).toBe(504)
  expect((await ask(2)).status).toBe(503)
  gate.resolve('at last')
  await vi.waitFor(async () => expect((await ask(3)).status).toBe(200))
})

test('a query whose caller is gone is aborted', async () => {
  const { handler, ended, inside } = held()
  const { ask } = await listen(handler)
  const gone = new AbortController()
  const asked = ask(1, {}, gone.signal)
  await vi.waitFor(() => expect(inside()).toBe(1))
  gone.abort()
  await expect(asked).rejects.toThrow()
  await vi.waitFor(() => expect(ended).toEqual(['aborted']))
})

test('a stop lets what is under way finish, says 503 to the rest, and then is gone', async () => {
  const { handler, gate, ended, inside } = held()
  const { listener, ask } = await listen(handler)
  const asked = ask(1)
  await vi.waitFor(() => expect(inside()).toBe(1))
  const stopped = listener.stop({ deadlineMs: 15_000 })
  const health = await fetch(`${listener.address}/health`)
  expect([health.status, health.headers.get('connection')]).toEqual([503, 'close'])
  const refused = await ask(2)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  const { address } = listener
  gate.resolve()
  expect((await asked).status).toBe(200)
  await stopped
  expect(ended).toEqual(['done'])
  await expect(fetch(`${address}/health`)).rejects.toThrow()
})

test('a stop that has waited long enough aborts, and the caller has a reply all the same', async () => {
  const { handler, ended, inside } = held()
  const { listener, ask } = await listen(handler)
  const asked = ask(1)
  await vi.waitFor(() => expect(inside()).toBe(1))
  const stopped = listener.stop({ deadlineMs: 50 })
  expect((await asked).status).toBe(504)
  await stopped
  expect(ended).toEqual(['aborted'])
})

test('who sends headers or a body slowly on purpose is cut off', async () => {
  const { port, ask } = await listen(() => 'ok', {}, { headersMs: 300, requestMs: 600 })
  const began = performance.now()
  const slow = [
    raw(port, `POST ${path} HTTP/1.1\r\nhost: a\r\nx-slow:`),
    raw(port, `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n1`),
  ]
  for (const { closed } of slow) expect(await closed).toMatch(/^(HTTP\/1\.1 4\d\d |$)/)
  expect(performance.now() - began).toBeLessThan(10_000)
  expect((await ask(1)).status).toBe(200)
})

test('what is no request of a call, or two in one, is refused, and the connection is closed', async () => {
  const { port, ask } = await listen(() => 'ok')
  const requests = [
    'GARBAGE\r\n\r\n',
    `POST ${path} HTTP/1.1\r\n\r\n`,
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n11`,
    `POST ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `POST ${path} HTTP/1.1\r\nhost : a\r\n\r\n`,
    `POST ${path} HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
  ]
  for (const request of requests)
    expect(await raw(port, request).closed, request.slice(0, 90)).toMatch(/^HTTP\/1\.1 4\d\d /)
  expect((await ask(1)).status).toBe(200)
})

test('garbage behind a request that is under way is no answer to it: the connection is cut', async () => {
  const { handler, gate, inside } = held()
  const { port } = await listen(handler)
  const request = `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1`
  const { closed } = raw(port, `${request}garbage garbage\r\n\r\n`)
  expect(await closed).toBe('')
  gate.resolve()
  await vi.waitFor(() => expect(inside()).toBe(0))
})

test('a client that goes away while it is found out who it is leaves nothing behind', async () => {
  const known = Promise.withResolvers<string>()
  const found = vi.fn(() => known.promise)
  const { listener, port } = await listen(() => 'ok', {}, { authenticate: found })
  for (const length of [1, 2]) {
    const socket = connect(port, '127.0.0.1')
    socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n1`)
    await vi.waitFor(() => expect(found).toHaveBeenCalledTimes(length))
    await new Promise((resolve) => socket.destroy().once('close', resolve))
  }
  // The server has seen it too when it answers what came after.
  await vi.waitFor(async () => expect((await fetch(`${listener.address}/health`)).status).toBe(200))
  await new Promise((resolve) => setTimeout(resolve, 100))
  known.resolve('me')
  const began = performance.now()
  await listener.stop({ deadlineMs: 15_000 })
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('finding out who asks takes of the deadline', async () => {
  const { handler, inside } = held()
  const authenticate = () => new Promise<string>((resolve) => setTimeout(resolve, 400, 'me'))
  const { ask } = await listen(handler, {}, { authenticate })
  const reply = await ask(1, { 'spillway-deadline': '300' })
  expect([reply.status, inside()]).toEqual([503, 0])
})

test('the answers to a batch have a bound: what does not fit is asked for again, and is not even made', async () => {
  const answer = 'x'.repeat(8 * 2 ** 20 - 2)
  let made = 0
  const { listener } = await listen(() => {
    made += 1
    return answer
  })
  const reply = await fetch(`${listener.address}${path}?batch`, {
    method: 'POST',
    body: JSON.stringify(new Array(100).fill(1)),
    headers: { 'content-type': 'application/json' },
  })
  const elements = (await reply.json()) as { readonly status: number; readonly body: unknown }[]
  const statuses = elements.map(({ status }) => status)
  expect([reply.status, statuses.length]).toEqual([200, 100])
  expect(statuses.filter((status) => status === 200)).toHaveLength(8)
  expect(elements.find(({ status }) => status !== 200)).toMatchObject({
    status: 503,
    body: { code: 'OVERLOADED' },
  })
  expect(made).toBeLessThan(20)
})

test('the inputs of all calls under way have a bound; what they took is given back', async () => {
  const { handler, gate, inside } = held()
  const { ask, listener } = await listen(handler, {}, { roomBytes: 10 })
  const first = ask(12_345_678)
  await vi.waitFor(() => expect(inside()).toBe(1))
  const second = await ask(123)
  expect([second.status, await second.json()]).toMatchObject([503, { code: 'OVERLOADED' }])
  const third = ask(12)
  await vi.waitFor(() => expect(inside()).toBe(2))
  gate.resolve()
  expect([(await first).status, (await third).status]).toEqual([200, 200])
  const cut = new AbortController()
  const body = new ReadableStream({ start: (stream) => stream.enqueue(Buffer.from('1234567890')) })
  const init = { method: 'POST', body, duplex: 'half', signal: cut.signal }
  const left = fetch(listener.address + path, init as RequestInit).catch(() => undefined)
  await vi.waitFor(async () => expect((await ask(1)).status).toBe(503), 10_000)
  cut.abort()
  await left
  await vi.waitFor(async () => expect((await ask(1_234_567_890)).status).toBe(200), 10_000)
})

test('whatever bytes come, the process goes on', async () => {
  const { port, ask } = await listen(() => 'ok')
  const piece = fc.oneof(
    fc.constantFrom(
      'POST',
      'GET',
      ' ',
      path,
      '?batch',
      ' HTTP/1.1',
      '\r\n',
      '\n',
      'host: a',
      ': ',
      'content-length: 5',
    ),
    fc.constantFrom(
      'transfer-encoding: chunked',
      'idempotency-key',
      'spillway-deadline: 1',
      '\r\n\r\n',
      '{"a":1}',
      '[]',
      '\0',
    ),
    fc.string({ maxLength: 8 }),
  )
  const bytes = fc.oneof(
    fc.array(piece, { maxLength: 16 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
    fc.uint8Array({ maxLength: 64 }),
  )
  const thrown: unknown[] = []
  const note = (error: unknown) => thrown.push(error)
  process.on('uncaughtException', note)
  await fc.assert(
    fc.asyncProperty(bytes, async (sent) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      await new Promise<void>((resolve) => socket.end(sent, () => resolve()))
      setTimeout(() => socket.destroy(), 20).unref()
    }),
    { numRuns: 300 },
  )
  expect((await ask(1)).status).toBe(200)
  process.off('uncaughtException', note)
  expect(thrown).toEqual([])
})

test('a connection is used again', async () => {
  const { port } = await listen((input) => `answer ${input}`)
  const request = (input: number, last: boolean) =>
    `POST ${path} HTTP/1.1\r\nhost: a\r\n${last ? 'connection: close\r\n' : ''}content-length: 1\r\n\r\n${input}`
  const text = await raw(port, request(1, false) + request(2, false) + request(3, true)).closed
  expect(text.match(/HTTP\/1\.1 200 OK/g)?.length).toBe(3)
  expect(text).toMatch(/answer 1[\s\S]*answer 2[\s\S]*answer 3/)
})
