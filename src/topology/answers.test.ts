// Calls answered over HTTP by a running topology: what a request is told, whatever it looks like.
import { afterEach, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { call } from '../core/call-contract.ts'
import { context } from '../core/contract.ts'
import type { Report } from '../core/report.ts'
import { memory } from '../testing/memory/engine.ts'
import { type Running, type RunOptions, run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const inventory = context('inventory', {
  calls: {
    stockOf: call({
      input: z.object({ product: z.string().min(1) }),
      output: z.object({ pieces: z.int() }),
      errors: { unknownProduct: z.object({ product: z.string() }) },
    }),
    stockOfNew: call({
      name: 'stockOf',
      version: 2,
      input: z.object({ sku: z.string() }),
      output: z.object({ stock: z.int() }),
    }),
  },
})
const { stockOf, stockOfNew } = inventory.calls

const stock: Readonly<Record<string, number>> = { bowl: 7, cup: 0 }

const runs: Running[] = []
afterEach(async () => {
  await Promise.all(runs.splice(0).map((each) => each.stop({ deadlineMs: 0 })))
})

async function start(options: RunOptions = {}) {
  const reports: Report[] = []
  const seen: unknown[] = []
  const answers = service(inventory)
    .answer(stockOf, async ({ product }, { fail, caller, signal }) => {
      seen.push(caller)
      if (product === 'broken') throw new Error('password=hunter2')
      if (product === 'wrong') return { pieces: 1.5 }
      if (product === 'slow')
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      const pieces = stock[product]
      return pieces === undefined ? fail('unknownProduct', { product }) : { pieces }
    })
    .answer(stockOfNew, ({ sku }) => ({ stock: stock[sku] ?? 0 }))
  const running = await run(topology({ contexts: [answers], engine: 'memory:' }), {
    engine: memory(),
    onReport: (report) => reports.push(report),
    ...options,
  })
  runs.push(running)
  return { running, reports, seen, address: running.address! }
}

async function ask(address: string, path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(address + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  }
}

const path = '/calls/inventory.stockOf/1'

test('a query is answered, and two versions side by side', async () => {
  const { address, seen } = await start()
  expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  const { status, body, headers } = await ask(
    address,
    path,
    { product: 'bowl' },
    { 'spillway-caller': 'checkout' },
  )
  expect([status, body]).toEqual([200, { pieces: 7 }])
  expect(headers.get('content-type')).toBe('application/json')
  expect(seen).toEqual([{ context: 'checkout', identity: undefined }])
  expect(await ask(address, '/calls/inventory.stockOf/2', { sku: 'bowl' })).toMatchObject({
    body: { stock: 7 },
  })
})

test('a declared error is 422, with its data', async () => {
  const { address } = await start()
  const { status, body, headers } = await ask(address, path, { product: 'spoon' })
  expect(status).toBe(422)
  expect(body).toMatchObject({ status: 422, failure: 'unknownProduct', data: { product: 'spoon' } })
  expect(headers.get('content-type')).toBe('application/problem+json')
})

test('wrong input is refused with the path of every problem', async () => {
  const { address, seen } = await start()
  const { status, body } = await ask(address, path, { product: '' })
  expect(status).toBe(400)
  expect(body).toMatchObject({ code: 'INVALID_DATA', issues: [{ path: 'product' }] })
  expect(seen).toEqual([])
})

test('what an answer throws is told to the operator, and not to the caller', async () => {
  const { address, reports } = await start()
  const thrown = await ask(address, path, { product: 'broken' })
  expect([thrown.status, thrown.body.code]).toEqual([500, 'ANSWER_FAILED'])
  expect(JSON.stringify(thrown.body)).not.toContain('hunter2')
  const wrong = await ask(address, path, { product: 'wrong' })
  expect([wrong.status, wrong.body.code]).toEqual([500, 'ANSWER_FAILED'])
  expect(reports.map(({ from, error }) => [from, error.code])).toEqual([
    ['the answer of inventory.stockOf', 'ANSWER_FAILED'],
    ['the answer of inventory.stockOf', 'ANSWER_FAILED'],
  ])
  expect(reports[0]!.error.message).toContain('hunter2')
  expect(reports[1]!.error.message).toContain('pieces')
})

test('the deadline aborts the answer and is 504', async () => {
  const { address, reports } = await start()
  const { status, body } = await ask(address, path, { product: 'slow' }, { 'spillway-deadline': '60' })
  expect([status, body.code]).toEqual([504, 'DEADLINE'])
  expect(reports).toEqual([])
})

test('what is no call is refused, each with its reason', async () => {
  const { address } = await start()
  const input = { product: 'bowl' }
  const refused = async (
    status: number,
    code: string,
    ...[to, body, headers]: readonly [string, unknown, object?]
  ) => {
    const reply = await ask(address, to, body, { ...headers })
    expect([reply.status, reply.body.code], `${to} ${JSON.stringify(headers)}`).toEqual([status, code])
    expect(reply.body.detail).not.toBe('')
  }
  await refused(404, 'UNKNOWN_CALL', '/calls/inventory.stockOf/3', input)
  await refused(404, 'UNKNOWN_CALL', '/calls/inventory.nothing/1', input)
  await refused(404, 'UNKNOWN_CALL', '/', input)
  await refused(400, 'INVALID_REQUEST', `${path}?dry`, input)
  await refused(400, 'INVALID_REQUEST', path, '{"product":')
  await refused(400, 'INVALID_REQUEST', path, input, { 'spillway-deadline': '1.5' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'spillway-deadline': '-1' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'spillway-deadline': '3600001' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'spillway-nested': 'yes' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'idempotency-key': 'a b' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'spillway-caller': 'a/b' })
  await refused(400, 'INVALID_REQUEST', path, input, { 'content-type': 'text/plain' })
  await refused(403, 'INVALID_REQUEST', path, input, { origin: 'http://evil.example' })
  await refused(413, 'TOO_LARGE', path, { product: 'x'.repeat(2 ** 20) })
  expect((await fetch(address + path)).status).toBe(405)
  expect((await ask(address, path, input)).status).toBe(200)
})

test('a batch is answered element by element', async () => {
  const { address } = await start()
  const inputs = [{ product: 'bowl' }, { product: 'spoon' }, {}, { product: 'cup' }]
  const { status, body } = await ask(address, `${path}?batch`, inputs)
  expect(status).toBe(200)
  expect(body).toMatchObject([
    { status: 200, body: { pieces: 7 } },
    { status: 422, body: { failure: 'unknownProduct' } },
    { status: 400, body: { code: 'INVALID_DATA' } },
    { status: 200, body: { pieces: 0 } },
  ])
  expect((await ask(address, `${path}?batch`, {})).status).toBe(400)
  expect((await ask(address, `${path}?batch`, Array(101).fill({ product: 'bowl' }))).status).toBe(400)
  expect((await ask(address, `${path}?batch`, [])).body).toEqual([])
})

test('the health, and an address of nobody', async () => {
  const { address, running } = await start()
  const health = await fetch(`${address}/health`)
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }])
  await running.stop()
  await expect(fetch(`${address}/health`)).rejects.toThrow()
})

test('authenticate says who asks', async () => {
  const { address, seen } = await start({
    authenticate: async ({ headers, type, version }) => {
      if (headers.authorization === 'broken') throw new Error('the secret store is away')
      return headers.authorization === 'Bearer s3cret' ? { user: 'ann', type, version } : undefined
    },
  })
  const input = { product: 'bowl' }
  for (const authorization of ['Bearer wrong', 'broken', '']) {
    const { status, body } = await ask(address, path, input, { authorization })
    expect([status, body.code]).toEqual([401, 'NOT_ACCEPTED'])
    expect(JSON.stringify(body)).not.toContain('secret store')
  }
  expect(seen).toEqual([])
  expect((await ask(address, path, input, { authorization: 'Bearer s3cret' })).status).toBe(200)
  expect(seen).toEqual([
    { context: undefined, identity: { user: 'ann', type: 'inventory.stockOf', version: 1 } },
  ])
})

test('a thenable that says nobody lets nobody in', async () => {
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about
  const nobody = { then: (resolve: (value: undefined) => void) => resolve(undefined) }
  const { address } = await start({ authenticate: () => nobody })
  expect((await ask(address, path, { product: 'bowl' })).status).toBe(401)
})

test('listening to everybody is warned of, and refused in strict mode', async () => {
  const listen = 'http://0.0.0.0:0'
  const { running } = await start({ listen })
  const warning = expect.stringContaining('to everybody who reaches it')
  expect(running.warnings).toContainEqual(warning)
  await expect(start({ listen, strict: true })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  expect((await start({ listen, authenticate: () => 1 })).running.warnings).not.toContainEqual(warning)
  await expect(start({ listen: 'https://127.0.0.1:0' })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  await expect(start({ listen: address(running) })).rejects.toMatchObject({ code: 'CONFIGURATION' })
})

const address = ({ address }: Running) => address!.replace('0.0.0.0', '127.0.0.1')

test('what an answer is given and may return is typed by its contract', () => {
  const base = service(inventory)
  base.answer(stockOf, ({ product }, context) => {
    expectTypeOf(product).toEqualTypeOf<string>()
    expectTypeOf(context.db).toEqualTypeOf<undefined>()
    expectTypeOf(context).not.toHaveProperty('commit')
    expectTypeOf(context.fail).parameter(0).toEqualTypeOf<'unknownProduct'>()
    return { pieces: 1 }
  })
  // @ts-expect-error: no such error
  base.answer(stockOf, (_, { fail }) => fail('soldOut', {}))
  // @ts-expect-error: its data is of another form
  base.answer(stockOf, (_, { fail }) => fail('unknownProduct', { product: 1 }))
  // @ts-expect-error: no such answer
  base.answer(stockOf, () => ({ stock: 1 }))
})

vi.setConfig({ testTimeout: 20_000 })
