import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { call } from './call-contract.ts'
import type { ResultOf } from './call-result.ts'
import { context } from './contract.ts'
import { seal, unseal } from './envelope.ts'
import { pointer } from './pointer-contract.ts'

const Order = z.object({ orderId: z.string(), version: z.int(), pence: z.int() })

const orders = context('orders', {
  events: { shipped: pointer({ key: 'orderId', fetch: 'getOrder' }) },
  calls: {
    getOrder: call({
      input: z.object({ orderId: z.string() }),
      output: Order,
      errors: { gone: z.object({ since: z.string() }) },
      deadline: '2s',
    }),
    place: call({ kind: 'command', input: Order, output: z.object({ number: z.int() }) }),
    placeInPounds: call({
      kind: 'command',
      name: 'place',
      version: 2,
      input: z.object({ pounds: z.string().transform(Number) }),
      output: z.object({ number: z.int() }),
    }),
  },
})

test('a call knows its type, kind, version and deadline', () => {
  expect(orders.calls.getOrder).toMatchObject({
    kind: 'query',
    type: 'orders.getOrder',
    context: 'orders',
    version: 1,
    deadlineMs: 2_000,
  })
  expect(orders.calls.placeInPounds).toMatchObject({
    kind: 'command',
    type: 'orders.place',
    version: 2,
    deadlineMs: 5_000,
  })
})

test('the kind of a call is a part of its type', () => {
  expectTypeOf(orders.calls.getOrder.kind).toEqualTypeOf<'query'>()
  expectTypeOf(orders.calls.place.kind).toEqualTypeOf<'command'>()
})

test('the result of a call is typed by its contract', () => {
  type Result = ResultOf<typeof orders.calls.getOrder>
  expectTypeOf<Extract<Result, { status: 'ok' }>['value']>().toEqualTypeOf<z.infer<typeof Order>>()
  expectTypeOf<Extract<Result, { reason: 'gone' }>['data']>().toEqualTypeOf<{ since: string }>()
  expectTypeOf<Extract<Result, { status: 'failed' }>['reason']>().toEqualTypeOf<'gone' | 'error'>()
  const bare = context('bare', { calls: { ask: call({ input: Order, output: Order }) } })
  type Bare = ResultOf<typeof bare.calls.ask>
  expectTypeOf<Extract<Bare, { status: 'failed' }>['reason']>().toEqualTypeOf<'error'>()
})

test('a pointer carries its key and version, and is fetched by a query of its context', async () => {
  const { shipped } = orders.events
  expect(shipped.pointer).toEqual({
    key: 'orderId',
    call: orders.calls.getOrder,
    version: 'version',
    gone: 'gone',
  })
  expectTypeOf(shipped.keyOf!)
    .parameter(0)
    .toEqualTypeOf<{ readonly orderId: string } & { readonly version: number }>()
  const { key, body } = await seal(shipped, { orderId: '4711', version: 3 }, {})
  expect(key).toBe('4711')
  expect(await unseal(shipped, body)).toMatchObject({ data: { orderId: '4711', version: 3 } })
})

test.each([
  [{ orderId: '', version: 1 }, 'orderId'],
  [{ orderId: '4711' }, 'version'],
  [{ orderId: '4711', version: 1.5 }, 'version'],
  [{ orderId: '4711', version: 1, pence: 5 }, 'pence'],
])('a pointer refuses %j at %s', (data, path) => {
  expect(() => seal(orders.events.shipped, data as never, {})).toThrow(`${path}: `)
})

const input = z.object({ orderId: z.string() })

test.each<[string, () => unknown]>([
  [
    'is no call of its context',
    () => context('a', { events: { e: pointer({ key: 'orderId', fetch: 'get' }) } }),
  ],
  [
    'is a command',
    () =>
      context('a', {
        events: { e: pointer({ key: 'orderId', fetch: 'get' }) },
        calls: { get: call({ kind: 'command', input, output: Order }) },
      }),
  ],
  ['has no schema: `output`', () => context('a', { calls: { get: call({ input } as never) } })],
  [
    'has no schema: `errors.late`',
    () => context('a', { calls: { get: call({ input, output: Order, errors: { late: 1 } as never }) } }),
  ],
  [
    'an error named error',
    () => context('a', { calls: { get: call({ input, output: Order, errors: { error: Order } }) } }),
  ],
  [
    'the kind "ask"',
    () => context('a', { calls: { get: call({ kind: 'ask' as never, input, output: Order }) } }),
  ],
  ['version 0', () => context('a', { calls: { get: call({ version: 0, input, output: Order }) } })],
  [
    'a.get version 1 more than once',
    () =>
      context('a', {
        calls: { get: call({ input, output: Order }), other: call({ name: 'get', input, output: Order }) },
      }),
  ],
])('refused with "%s"', (what, make) => {
  expect(make).toThrow(what)
})
