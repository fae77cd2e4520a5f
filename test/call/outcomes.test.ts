// The line between "nothing left" and "it left", on real sockets: a server that ends the exchange at every stage, and every status.
import { type CallResult, call, context } from 'spillway'
import { afterEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { CallsOptions } from '../../src/call/client/calls-options.ts'
import { CallClient } from '../../src/call/client/client.ts'
import type { AskOptions } from '../../src/ports/call.ts'
import { always, deadPort, http, problem, type Script, ScriptedServer } from './scripted-server.ts'

const inventory = context('inventory', {
  calls: {
    reserve: call({
      kind: 'command',
      input: z.object({ product: z.string(), notes: z.string().optional() }),
      output: z.object({
        reservation: z.string(),
        lines: z.array(z.object({ price: z.number() })).optional(),
      }),
      errors: { soldOut: z.object({ product: z.string() }) },
    }),
    stockOf: call({ input: z.object({ product: z.string() }), output: z.object({ left: z.int() }) }),
  },
})
const { reserve, stockOf } = inventory.calls
const shirt = { product: 'shirt' }
const once: CallsOptions = { retry: { attempts: 1 } }

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each[Symbol.asyncDispose]()
})

async function serve(script: Script, onConnection?: Parameters<typeof ScriptedServer.start>[1]) {
  const server = await ScriptedServer.start(script, onConnection)
  closing.push(server)
  return server
}

function clientOf(addresses: readonly string[], options: CallsOptions = once): CallClient {
  const client = new CallClient({ addressesOf: () => addresses, calls: { inventory: options } })
  closing.push({ [Symbol.asyncDispose]: () => client.close() })
  return client
}

function ask(client: CallClient, options: AskOptions = {}): Promise<CallResult<unknown>> {
  return client.call(reserve, shirt, { deadline: '5s', ...options } as never, { caller: 'orders' }) as never
}

/** What one asking of a server with this script ends in. */
async function asked(script: Script, onConnection?: Parameters<typeof serve>[1], options?: AskOptions) {
  const server = await serve(script, onConnection)
  const result = await ask(clientOf([server.address]), options)
  return { server, result, code: result.status === 'ok' ? undefined : result.error.code }
}

test('refused: nothing left', async () => {
  const result = await ask(clientOf([`http://127.0.0.1:${await deadPort()}`]))
  expect(result).toMatchObject({
    status: 'failed',
    reason: 'error',
    error: { code: 'UNREACHABLE', retryable: true },
  })
})

test('closed at once after it was accepted: never called certain where a byte may have arrived', async () => {
  for (const end of ['destroy', 'resetAndDestroy'] as const)
    for (let round = 0; round < 10; round++) {
      const { server, result } = await asked(
        () => {},
        (socket) => socket[end](),
      )
      if (result.status === 'failed') expect(server.bytes).toBe(0)
      else expect(result).toMatchObject({ status: 'unknown', error: { code: 'NO_ANSWER' } })
    }
})

test('cut in the middle of the body of the request: unknown', async () => {
  const server = await serve((socket) => socket.destroy())
  const client = clientOf([server.address])
  // More than a socket takes at once.
  const notes = 'x'.repeat(900_000)
  const result = await client.call(reserve, { ...shirt, notes }, {}, { caller: 'orders' })
  expect(result).toMatchObject({ status: 'unknown', error: { code: 'NO_ANSWER' } })
  expect(server.requests).toEqual([])
})

test.each<[string, Script]>([
  ['after the request', (socket) => socket.destroy()],
  ['by a reset after the request', (socket) => socket.resetAndDestroy()],
  ['in the middle of the head of the answer', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')],
  [
    'in the middle of the body of the answer',
    (socket) => socket.end(http(200, { reservation: 'r1' }).slice(0, -4)),
  ],
  [
    'in the middle of a chunk',
    (socket) =>
      socket.end(
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"reser',
      ),
  ],
  ['with what is no HTTP', (socket) => socket.end('hello, who are you?\r\n\r\n')],
  ['with what is no JSON', always(http(200, '{"reservation":"r1"'))],
  ['with a page', always(http(200, '<h1>Welcome</h1>', 'text/html'))],
  ['by a gateway', always(http(502, '<h1>Bad Gateway</h1>', 'text/html'))],
  ['by a gateway that gave up', always(http(504, '', 'text/html'))],
  ['by a proxy that lost the server behind it', always(http(503, 'upstream connect error', 'text/plain'))],
  ['by what failed and is not ours', always(http(500, 'oops', 'text/plain'))],
  ['by a gateway with problems of its own', always(problem(503, 'UPSTREAM_RESET'))],
  ['by what failed, with a code that is not ours', always(problem(500, 'ECONNRESET'))],
  ['by a server that does not know what became of it', always(problem(500, 'INTERNAL'))],
  ['elsewhere', always(http(302, undefined, 'text/plain', ['location: /login']))],
  ['by something in between that says 200 to everything', always(http(200, undefined, ''))],
  ['without a word', always(http(204, undefined))],
])('answered %s: unknown', async (_, script) => {
  const { result, server } = await asked(script)
  expect(result).toMatchObject({
    status: 'unknown',
    key: expect.any(String),
    error: { code: 'NO_ANSWER', retryable: true },
  })
  expect(server.requests).toHaveLength(1)
})

test('answered late, or never: unknown at the deadline, and the request is closed', async () => {
  const { result, server, code } = await asked(() => {}, undefined, { deadline: 400 })
  expect([result.status, code]).toEqual(['unknown', 'DEADLINE'])
  await vi.waitFor(() => expect(server.closed).toBe(1))
  expect(
    Number(/^spillway-deadline: (\d+)$/im.exec(server.requests[0]?.head ?? '')?.[1]),
  ).toBeLessThanOrEqual(400)
})

test('given up by its caller: the request is closed; unknown, for it had left', async () => {
  const giveUp = new AbortController()
  const server = await serve(() => giveUp.abort())
  const result = await ask(clientOf([server.address]), { signal: giveUp.signal })
  expect(result).toMatchObject({ status: 'unknown', error: { code: 'ABORTED' } })
  await vi.waitFor(() => expect(server.closed).toBe(1))
  const before = await ask(clientOf([server.address]), { signal: AbortSignal.abort() })
  expect(before).toMatchObject({ status: 'failed', error: { code: 'ABORTED' } })
})

test('over while it waited for a connection: nothing left, and nothing leaves later', async () => {
  let answer: () => void = () => {}
  const server = await serve((socket) => {
    answer = () => socket.write(http(200, { reservation: 'r1' }))
  })
  const client = clientOf([server.address], { ...once, connections: 1 })
  const first = ask(client)
  await vi.waitFor(() => expect(server.requests).toHaveLength(1))
  const second = await ask(client, { deadline: 100 })
  expect(second).toMatchObject({ status: 'failed', error: { code: 'DEADLINE' } })
  answer()
  expect(await first).toMatchObject({ status: 'ok', value: { reservation: 'r1' } })
  // The connection is free again: what was given up meanwhile is not written to it.
  const third = ask(client, { key: 'third' })
  await vi.waitFor(() => expect(server.requests).toHaveLength(2))
  expect(server.requests[1]?.head).toContain('idempotency-key: third')
  answer()
  expect((await third).status).toBe('ok')
  // Nor does it cost the connection.
  expect(server.connections).toBe(1)
})

test.each<[number, string, string]>([
  [400, 'INVALID_DATA', 'INVALID_DATA'],
  [400, 'INVALID_REQUEST', 'INVALID_REQUEST'],
  [401, 'NOT_ACCEPTED', 'NOT_ACCEPTED'],
  [404, 'UNKNOWN_CALL', 'UNKNOWN_CALL'],
  [409, 'KEY_REUSED', 'KEY_REUSED'],
  [410, 'KEY_TOO_OLD', 'KEY_TOO_OLD'],
  [413, 'TOO_LARGE', 'TOO_LARGE'],
  [429, 'OVERLOADED', 'OVERLOADED'],
  [500, 'ANSWER_FAILED', 'ANSWER_FAILED'],
  [503, 'OVERLOADED', 'OVERLOADED'],
])('status %i with %s: failed, for the server says that nothing was done', async (status, code, expected) => {
  const { result } = await asked(
    always(problem(status, code, { issues: [{ path: 'product', message: 'no' }] })),
  )
  expect(result).toMatchObject({ status: 'failed', reason: 'error', error: { code: expected } })
})

test.each([401, 403, 404, 429])('status %i of a gateway is a refusal too', async (status) => {
  const { result } = await asked(always(http(status, 'no', 'text/plain')))
  expect(result.status).toBe('failed')
})

test.each([
  [504, 'DEADLINE', 'DEADLINE'],
  [504, 'ENGINE_UNAVAILABLE', 'NO_ANSWER'],
])('status %i with %s: unknown', async (status, code, expected) => {
  const { result } = await asked(always(problem(status, code)))
  expect(result).toMatchObject({ status: 'unknown', error: { code: expected } })
})

test('an error that the contract declares comes with its data', async () => {
  const { result } = await asked(
    always(http(422, { failure: 'soldOut', data: shirt }, 'application/problem+json')),
  )
  expect(result).toMatchObject({
    status: 'failed',
    reason: 'soldOut',
    data: shirt,
    error: { code: 'CALL_FAILED' },
  })
  for (const wrong of [
    { failure: 'closed', data: 1 },
    { failure: 'soldOut', data: { product: 1 } },
  ]) {
    const other = await asked(always(http(422, wrong, 'application/problem+json')))
    expect(other.result).toMatchObject({
      status: 'failed',
      reason: 'error',
      error: { code: 'INVALID_ANSWER' },
    })
  }
})

test('an answer that its contract does not allow names the path, and says that a command was done', async () => {
  const { result } = await asked(
    always(http(200, { reservation: 'r1', lines: [{ price: 1 }, { price: 'two' }] })),
  )
  expect(result).toMatchObject({
    status: 'failed',
    error: { code: 'INVALID_ANSWER', details: { issues: [{ path: 'lines[1].price' }] } },
  })
  expect(result.status === 'failed' && result.error.message).toMatch(
    /lines\[1\]\.price: .*It was done all the same/,
  )
})

test('an answer that is too large is not read to its end', async () => {
  const large = http(200, { reservation: 'r'.repeat(5_000) })
  const chunked = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n400\r\n${'x'.repeat(1024)}\r\n`
  for (const text of [large, `${chunked}400\r\n${'x'.repeat(1024)}\r\n`]) {
    const server = await serve(always(text))
    const result = await ask(clientOf([server.address], { ...once, maxAnswerBytes: 2_000 }))
    expect(result).toMatchObject({ status: 'failed', error: { code: 'INVALID_ANSWER' } })
  }
})

test('wrong input does not leave', async () => {
  const server = await serve(() => {})
  const client = clientOf([server.address])
  const wrong: [unknown, string][] = [
    [{ product: 7 }, 'INVALID_DATA'],
    [{ ...shirt, notes: 'x'.repeat(2 ** 20) }, 'TOO_LARGE'],
    [undefined, 'INVALID_DATA'],
  ]
  for (const [input, code] of wrong)
    expect(await client.call(reserve, input as never, {}, { caller: 'orders' })).toMatchObject({
      status: 'failed',
      error: { code },
    })
  expect(server.connections).toBe(0)
})

test('what asks is told: key, its age, caller, deadline, and what the caller gives', async () => {
  const server = await serve(always(http(200, { reservation: 'r1' })))
  const client = clientOf([server.address], {
    ...once,
    credentials: async ({ type }) => ({ Authorization: `for ${type}`, 'idempotency-key': 'mine' }),
  })
  const origin = {
    caller: 'orders',
    nested: true,
    traceparent: '00-aa-bb-01',
    correlationId: 'first',
    tracestate: 'bad\r\nheader: 1',
  }
  await client.call(reserve, shirt, { key: 'k-1', deadline: '2s' }, origin)
  const head = server.requests[0]?.head.toLowerCase() ?? ''
  for (const line of [
    'post /calls/inventory.reserve/1 http/1.1',
    'idempotency-key: k-1',
    'spillway-caller: orders',
    'spillway-nested: 1',
    'spillway-correlation: first',
    'traceparent: 00-aa-bb-01',
    'authorization: for inventory.reserve',
    'content-type: application/json',
  ])
    expect(head).toContain(line)
  expect(head).toMatch(/spillway-key-age: [1-9]/)
  expect(head).not.toContain('tracestate')
  expect(head).not.toContain('mine')
  expect(Number(/spillway-deadline: (\d+)/.exec(head)?.[1])).toBeGreaterThan(1_000)
  await client.call(stockOf, shirt, { deadline: '2h' }, { caller: 'orders' })
  expect(server.requests[1]?.head).not.toMatch(/idempotency-key|key-age/)
  expect(server.requests[1]?.head).toMatch(/spillway-deadline: 3600000/i)
})

test('credentials that HTTP cannot carry: told so, once, and no instance and no breaker is blamed', async () => {
  const server = await serve(always(http(200, { reservation: 'r1' })))
  const client = clientOf([server.address], { credentials: { authorization: 'Bearer a\r\nhost: b' } })
  expect(await ask(client)).toMatchObject({
    status: 'failed',
    error: { code: 'CONFIGURATION', message: expect.stringContaining('authorization') },
  })
  expect(client.target('inventory').destination.breaker.snapshot()).toMatchObject({ calls: 0 })
  expect(client.target('inventory').instances.map(({ isOut }) => isOut)).toEqual([false])
  expect(server.connections).toBe(0)
})

test.each(['order 4711', 'bestellung-ü', 'x'.repeat(201)])(
  'the id of a message may be any text, such as %s: its calls are answered',
  async (correlationId) => {
    const server = await serve(always(http(200, { left: 1 })))
    await clientOf([server.address]).call(stockOf, shirt, {}, { caller: 'orders', correlationId })
    expect(server.requests[0]?.head).not.toMatch(/spillway-correlation/i)
  },
)

test('misuse is thrown at once', async () => {
  const client = clientOf(['http://127.0.0.1:1'])
  const origin = { caller: 'orders' }
  expect(() => client.call(reserve, shirt, { key: 'ü' }, origin)).toThrow(/visible ASCII/)
  expect(() => client.call(reserve, shirt, { timeout: 1 } as never, origin)).toThrow(/no option `timeout`/)
  expect(() => client.ask(reserve, [shirt], {}, origin)).toThrow(/is a command/)
  expect(() => clientOf(['ftp://x'])).toThrow(/no address/)
  expect(() => clientOf(['http://user:secret@x'])).toThrow(/more than host/)
  expect(() => clientOf([], { retries: 3 } as never)).toThrow(/no option `retries`/)
  await client.close()
  expect(() => client.call(reserve, shirt, {}, origin)).toThrow(/stopping/)
})

test('a context that nobody knows', async () => {
  const client = new CallClient({ addressesOf: () => undefined })
  expect(await ask(client)).toMatchObject({ status: 'failed', error: { code: 'NO_ADDRESS' } })
  expect(await ask(clientOf([]))).toMatchObject({ status: 'failed', error: { code: 'NO_ADDRESS' } })
})
