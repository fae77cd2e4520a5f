// Asking again: with the same key, within the deadline, elsewhere first, by a budget, and by one layer only. Real sockets.
import { call, context, value } from 'spillway'
import { afterEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { BreakerState } from '../../src/call/breaker.ts'
import type { CallsOptions } from '../../src/call/client/calls-options.ts'
import { CallClient, type CallClientOptions, type CallEnded } from '../../src/call/client/client.ts'
import type { CallOrigin } from '../../src/ports/call.ts'
import { always, deadPort, http, problem, type Script, ScriptedServer } from './scripted-server.ts'

const inventory = context('inventory', {
  calls: {
    reserve: call({
      kind: 'command',
      input: z.object({ product: z.string() }),
      output: z.object({ reservation: z.string() }),
      errors: { soldOut: z.object({ product: z.string() }) },
    }),
    stockOf: call({ input: z.object({ product: z.string() }), output: z.object({ left: z.int() }) }),
  },
})
const { reserve, stockOf } = inventory.calls
const shirt = { product: 'shirt' }
const orders: CallOrigin = { caller: 'orders' }
const fine = http(200, { reservation: 'r1' })

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each[Symbol.asyncDispose]()
})

async function serve(script: Script, port = 0) {
  const server = await ScriptedServer.start(script, undefined, port)
  closing.push(server)
  return server
}

function clientOf(
  addresses: ReturnType<CallClientOptions['addressesOf']>,
  options: CallsOptions = {},
  more: Partial<CallClientOptions> = {},
): CallClient {
  const client = new CallClient({ addressesOf: () => addresses, calls: { inventory: options }, ...more })
  closing.push({ [Symbol.asyncDispose]: () => client.close() })
  return client
}

/** Says one thing after the other, the last of them for ever; undefined closes the connection. */
function inTurn(...said: readonly (string | undefined)[]): Script {
  return (socket, _, request) => {
    const next = said[Math.min(request, said.length) - 1]
    if (next === undefined) socket.destroy()
    else socket.write(next)
  }
}

function keysOf({ requests }: ScriptedServer): (string | undefined)[] {
  return requests.map(({ head }) => /^idempotency-key: (.*)$/im.exec(head)?.[1])
}

test('a cut, a full and a failing server are asked again with the same key; its age says that it is not new', async () => {
  const busy = problem(503, 'OVERLOADED', {}, ['retry-after: 0'])
  const server = await serve(inTurn(undefined, busy, problem(500, 'ANSWER_FAILED'), fine))
  const ended: CallEnded[] = []
  const client = clientOf(
    [server.address],
    { retry: { attempts: 4 } },
    { onEnded: (each) => ended.push(each) },
  )
  expect(await client.call(reserve, shirt, {}, orders)).toEqual({
    status: 'ok',
    value: { reservation: 'r1' },
  })
  const keys = keysOf(server)
  expect([keys.length, new Set(keys).size]).toEqual([4, 1])
  const ages = server.requests.map(({ head }) => Number(/key-age: (\d+)/i.exec(head)?.[1]))
  expect(ages[0]).toBe(0)
  expect(Math.min(...ages.slice(1))).toBeGreaterThan(0)
  const left = server.requests.map(({ head }) => Number(/deadline: (\d+)/i.exec(head)?.[1]))
  expect(left).toEqual([...left].sort((a, b) => b - a))
  expect(ended).toMatchObject([
    { type: 'inventory.reserve', version: 1, outcome: 'ok', attempts: 4, reason: undefined },
  ])
})

test.each([
  ['INVALID_DATA', 400],
  ['KEY_REUSED', 409],
  ['UNKNOWN_CALL', 404],
])('what %s refuses is not asked again', async (code, status) => {
  const server = await serve(inTurn(problem(status, code), fine))
  expect(await clientOf([server.address]).call(reserve, shirt, {}, orders)).toMatchObject({
    status: 'failed',
  })
  expect(server.requests).toHaveLength(1)
})

test('an instance that does not know the call yet: another is asked', async () => {
  const old = await serve(always(problem(404, 'UNKNOWN_CALL')))
  const deployed = await serve(always(fine))
  const client = clientOf([old.address, deployed.address])
  for (let asked = 0; asked < 10; asked++)
    expect((await client.call(reserve, shirt, {}, orders)).status).toBe('ok')
  expect(old.requests.length).toBeGreaterThan(0)
})

test('whoever answers a call itself asks once, and within what is left of its own deadline', async () => {
  const server = await serve(inTurn(problem(500, 'ANSWER_FAILED'), fine))
  const client = clientOf([server.address])
  const endsMs = performance.now() + 3_000
  expect(await client.call(reserve, shirt, {}, { ...orders, nested: true, endsMs })).toMatchObject({
    status: 'failed',
    error: { code: 'ANSWER_FAILED' },
  })
  expect(server.requests).toHaveLength(1)
  expect(Number(/deadline: (\d+)/i.exec(server.requests[0]!.head)?.[1])).toBeLessThanOrEqual(3_000)
})

test('`retry-after` that the deadline does not allow ends it; a shorter one is waited for', async () => {
  const later = (seconds: number) => problem(429, 'OVERLOADED', {}, [`retry-after: ${seconds}`])
  const server = await serve(inTurn(later(60), fine))
  expect(await clientOf([server.address]).call(reserve, shirt, {}, orders)).toMatchObject({
    status: 'failed',
    error: { code: 'OVERLOADED' },
  })
  expect(server.requests).toHaveLength(1)
  const other = await serve(inTurn(later(1), fine))
  const startedMs = performance.now()
  expect((await clientOf([other.address]).call(reserve, shirt, {}, orders)).status).toBe('ok')
  expect(performance.now() - startedMs).toBeGreaterThan(990)
})

test('once an asking left without an answer, a refusal of the next does not make it certain', async () => {
  const refusals = [
    problem(503, 'OVERLOADED', {}, ['retry-after: 0']),
    problem(500, 'ANSWER_FAILED'),
    problem(404, 'UNKNOWN_CALL'),
  ]
  for (const refusal of refusals) {
    const server = await serve(inTurn(undefined, refusal, refusal, fine))
    const client = clientOf([server.address], { retry: { attempts: 2 } })
    const result = await client.call(reserve, shirt, {}, orders)
    expect(result).toMatchObject({ status: 'unknown' })
    // Asked again it is refused once more: still nobody knows. Then the one true answer comes.
    const again = result.status === 'unknown' ? await result.again() : result
    expect(again.status).toBe(refusal === refusals[2] ? 'unknown' : 'ok')
    if (again.status === 'unknown') expect(value(await again.again())).toEqual({ reservation: 'r1' })
    expect(new Set(keysOf(server)).size).toBe(1)
  }
})

test('what its owner stored settles it, and that the key belongs to another input', async () => {
  const soldOut = http(422, { failure: 'soldOut', data: shirt }, 'application/problem+json')
  for (const [said, expected] of [
    [soldOut, { status: 'failed', reason: 'soldOut' }],
    [problem(409, 'KEY_REUSED'), { status: 'failed', error: { code: 'KEY_REUSED' } }],
  ] as const) {
    const server = await serve(inTurn(undefined, said))
    expect(await clientOf([server.address]).call(reserve, shirt, {}, orders)).toMatchObject(expected)
  }
})

test('a key that was asked before, by a handler that ran before, is not certain by a refusal either', async () => {
  const client = clientOf([`http://127.0.0.1:${await deadPort()}`], { retry: { attempts: 1 } })
  const origin = { ...orders, key: 'k-1', askedBefore: true }
  expect(await client.call(reserve, shirt, {}, origin)).toMatchObject({ status: 'unknown', key: 'k-1' })
  expect(await client.call(reserve, shirt, {}, { ...origin, askedBefore: false })).toMatchObject({
    status: 'failed',
  })
  // A query has no key: nothing of it can have been done.
  expect(await client.call(stockOf, shirt, {}, origin)).toMatchObject({ status: 'failed' })
})

test('the budget bounds what asking again adds to a failure', async () => {
  const server = await serve(always(problem(500, 'ANSWER_FAILED')))
  const client = clientOf([server.address], {
    retryBudget: { share: 0.1, perSecond: 0, burst: 5 },
    retry: { attempts: 5, initial: 0 },
    breaker: { minimumCalls: 1_000 },
  })
  for (let asked = 0; asked < 100; asked++) await client.call(reserve, shirt, {}, orders)
  expect(server.requests.length).toBeLessThanOrEqual(100 + 5 + 10)
  expect(server.requests.length).toBeGreaterThan(105)
})

test('an open breaker refuses without a request; the bulkhead holds calls apart', async () => {
  const server = await serve(inTurn(...new Array<string>(4).fill(problem(500, 'ANSWER_FAILED')), fine))
  const client = clientOf([server.address], {
    retry: { attempts: 1 },
    breaker: { minimumCalls: 4, openFor: '2s', openForMax: '2s', trials: 1 },
  })
  for (let asked = 0; asked < 4; asked++) await client.call(reserve, shirt, {}, orders)
  const refused = await client.call(reserve, shirt, {}, orders)
  expect(refused).toMatchObject({ status: 'failed', error: { code: 'BREAKER_OPEN', retryable: true } })
  expect(server.requests).toHaveLength(4)
  const state = (): BreakerState => client.target('inventory').destination.breaker.state
  expect(state()).toBe('open')
  await vi.waitFor(
    async () => expect((await client.call(reserve, shirt, {}, orders)).status).toBe('ok'),
    15_000,
  )
  expect(state()).toBe('closed')

  // To be asked too much is a failure of who is asked; to be asked wrongly is not.
  for (const [status, code, then] of [
    [429, 'OVERLOADED', 'open'],
    [400, 'INVALID_DATA', 'closed'],
  ] as const) {
    const busy = await serve(always(problem(status, code)))
    const asking = clientOf([busy.address], { retry: { attempts: 1 }, breaker: { minimumCalls: 4 } })
    for (let asked = 0; asked < 4; asked++) await asking.call(reserve, shirt, {}, orders)
    expect(asking.target('inventory').destination.breaker.state).toBe(then)
  }

  const silent = await serve(() => {})
  const narrow = clientOf([silent.address], {
    retry: { attempts: 1 },
    bulkhead: { concurrency: 1, waiting: 0 },
  })
  const first = narrow.call(reserve, shirt, { deadline: '2s' }, orders)
  expect(await narrow.call(reserve, shirt, {}, orders)).toMatchObject({
    status: 'failed',
    error: { code: 'BULKHEAD_FULL' },
  })
  await first
  expect(silent.requests).toHaveLength(1)
})

test('a fallback stands for nobody answering: not for a declared error, not for wrong input, not for an unknown command', async () => {
  const dead = clientOf([`http://127.0.0.1:${await deadPort()}`], { retry: { attempts: 1 } })
  const none = { left: 0 }
  expect(await dead.call(stockOf, shirt, { fallback: none }, orders)).toEqual({
    status: 'ok',
    value: none,
    fallback: true,
  })
  expect(await dead.call(stockOf, shirt, { fallback: () => none }, orders)).toMatchObject({ fallback: true })
  const refused = await dead.call(reserve, shirt, { fallback: { reservation: 'later' } }, orders)
  expect(refused).toMatchObject({ status: 'ok', fallback: true })
  expect(await dead.call(stockOf, {} as never, { fallback: none }, orders)).toMatchObject({
    status: 'failed',
  })
  const cut = await serve((socket) => socket.destroy())
  const client = clientOf([cut.address], { retry: { attempts: 1 } })
  expect(await client.call(stockOf, shirt, { fallback: none }, orders)).toMatchObject({ fallback: true })
  expect(await client.call(reserve, shirt, { fallback: { reservation: 'x' } }, orders)).toMatchObject({
    status: 'unknown',
  })
})

test('an instance that is away: another is asked at once, and it is left out until it says that it is well', async () => {
  const port = await deadPort()
  const well = await serve(always(fine))
  const client = clientOf([`http://127.0.0.1:${port}`, well.address])
  for (let asked = 0; asked < 20; asked++)
    expect((await client.call(reserve, shirt, {}, orders)).status).toBe('ok')
  expect(client.target('inventory').instances.filter((each) => each.isWell)).toHaveLength(1)
  // It is there again, but not yet well.
  let health = http(503, undefined)
  const both = await serve(
    (socket, { head }) => socket.write(head.startsWith('GET /health') ? health : fine),
    port,
  )
  const calls = () => both.requests.filter(({ head }) => head.startsWith('POST'))
  await vi.waitFor(async () => {
    await client.call(reserve, shirt, {}, orders)
    expect(both.requests.some(({ head }) => head.startsWith('GET /health'))).toBe(true)
  }, 10_000)
  expect(calls()).toEqual([])
  health = http(200, undefined)
  await vi.waitFor(async () => {
    await client.call(reserve, shirt, {}, orders)
    expect(calls().length).toBeGreaterThan(0)
  }, 20_000)
})

test('what waits while the client is closed does not leave afterwards', async () => {
  const server = await serve(always(fine))
  const found = Promise.withResolvers<string[]>()
  const client = clientOf(() => found.promise)
  const result = client.call(reserve, shirt, {}, orders)
  await client.close()
  found.resolve([server.address])
  expect(await result).toMatchObject({ status: 'failed', error: { code: 'CLOSED' } })
  expect(server.connections).toBe(0)
})

test('the less busy of two is asked: one that hangs gets no more', async () => {
  const hangs = await serve(() => {})
  const quick = await serve(always(fine))
  const client = clientOf([hangs.address, quick.address], { retry: { attempts: 1 } })
  const first: Promise<unknown>[] = []
  // Somebody waits for the one that hangs, and for nobody else.
  while (hangs.requests.length === 0) {
    const asked = client.call(reserve, shirt, { deadline: '5s' }, orders)
    first.push(asked)
    await Promise.race([asked, vi.waitFor(() => expect(hangs.requests).toHaveLength(1), 10_000)])
  }
  for (let asked = 0; asked < 30; asked++)
    expect((await client.call(reserve, shirt, {}, orders)).status).toBe('ok')
  expect(hangs.requests).toHaveLength(1)
  await hangs[Symbol.asyncDispose]()
  await Promise.all(first)
})

test('addresses that are found: asked once for many calls, kept when finding fails, told when never found', async () => {
  const server = await serve(always(fine))
  let asked = 0
  const client = clientOf(async () => {
    asked += 1
    return [server.address]
  })
  await Promise.all(Array.from({ length: 10 }, () => client.call(reserve, shirt, {}, orders)))
  expect(asked).toBe(1)
  const lost = clientOf(() => Promise.reject(new Error('no such name')), { retry: { attempts: 1 } })
  expect(await lost.call(reserve, shirt, {}, orders)).toMatchObject({
    status: 'failed',
    error: { code: 'UNREACHABLE', message: expect.stringContaining('no such name') },
  })
  const never = clientOf(() => new Promise<string[]>(() => {}))
  expect(await never.call(reserve, shirt, { deadline: 100 }, orders)).toMatchObject({
    status: 'failed',
    error: { code: 'DEADLINE' },
  })
})

test('several inputs of a query leave together, and each has an outcome of its own', async () => {
  const server = await serve((socket, { body }) => {
    const inputs = JSON.parse(body) as { product: string }[]
    const answers = inputs.map(({ product }) => {
      if (product === 'broken')
        return { status: 500, body: { status: 500, code: 'ANSWER_FAILED', detail: 'It threw.' } }
      return { status: 200, body: { left: product === 'odd' ? 'many' : product.length } }
    })
    socket.write(http(200, answers))
  })
  const client = clientOf([server.address])
  const inputs = ['shirt', 'broken', 'odd', 7].map((product) => ({ product }) as { product: string })
  expect(await client.ask(stockOf, inputs, {}, orders)).toMatchObject([
    { status: 'ok', value: { left: 5 } },
    { status: 'failed', error: { code: 'ANSWER_FAILED' } },
    { status: 'failed', error: { code: 'INVALID_ANSWER' } },
    { status: 'failed', error: { code: 'INVALID_DATA' } },
  ])
  expect(server.requests[0]?.head).toContain('POST /calls/inventory.stockOf/1?batch')
  const many = Array.from({ length: 250 }, (_, index) => ({ product: 'x'.repeat(index + 1) }))
  const results = await client.ask(stockOf, many, {}, orders)
  expect(results.map((each) => each.status === 'ok' && each.value.left)).toEqual(
    many.map(({ product }) => product.length),
  )
  expect(server.requests).toHaveLength(4)
  expect(await client.ask(stockOf, [], {}, orders)).toEqual([])
})

test('values for those who want exceptions', async () => {
  const server = await serve(
    inTurn(http(422, { failure: 'soldOut', data: shirt }, 'application/problem+json'), undefined),
  )
  const client = clientOf([server.address], { retry: { attempts: 1 } })
  const failed = await client.call(reserve, shirt, {}, orders)
  expect(() => value(failed)).toThrow(
    expect.objectContaining({
      code: 'CALL_FAILED',
      retryable: false,
      details: { reason: 'soldOut', data: shirt },
    }),
  )
  const unknown = await client.call(reserve, shirt, {}, orders)
  expect(() => value(unknown)).toThrow(expect.objectContaining({ code: 'CALL_UNKNOWN', retryable: true }))
})
