import { type } from 'arktype'
import * as v from 'valibot'
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { context, event, queue } from './contract.ts'
import { isTombstone, seal, unseal } from './envelope.ts'
import { isSpillwayError, SpillwayError } from './errors.ts'
import type { Message } from './message.ts'
import { unchecked } from './schema.ts'

const orders = context('orders', {
  events: {
    placed: event({
      data: z.object({ orderId: z.string(), lines: z.array(z.object({ pence: z.number().int() })) }),
      key: (o) => o.orderId,
    }),
    packed: event({ data: v.object({ orderId: v.string(), boxes: v.number() }) }),
    shipped: event({ data: type({ orderId: 'string', 'parcel?': 'string' }) }),
  },
  queues: { receipt: queue({ data: unchecked<{ to: string }>(), retry: { attempts: 8 } }) },
})

test('types flow from zod, valibot, arktype and unchecked into the contract', () => {
  expectTypeOf(orders.name).toEqualTypeOf<'orders'>()
  expectTypeOf(orders.events.placed.keyOf!)
    .parameter(0)
    .toEqualTypeOf<{ orderId: string; lines: { pence: number }[] }>()
  expectTypeOf(seal(orders.events.packed, { orderId: '1', boxes: 2 }, {})).not.toBeNever()
  expectTypeOf(seal<{ orderId: string; parcel?: string }>).toBeCallableWith(
    orders.events.shipped,
    { orderId: '1' },
    {},
  )
  // @ts-expect-error a wrong type is refused by the compiler
  void (() => seal(orders.events.packed, { orderId: 1, boxes: 2 }, {}))
  // @ts-expect-error there is no such event
  expect(orders.events.lost).toBeUndefined()
})

test('name, type, stream and queue come from the one definition', () => {
  expect(orders.events.placed).toMatchObject({ type: 'orders.placed', stream: 'orders', version: 1 })
  expect(orders.queues.receipt).toMatchObject({
    type: 'orders.receipt',
    queue: 'orders.receipt',
    context: 'orders',
  })
})

test.each([
  ['zod', orders.events.placed, { orderId: '1', lines: [{ pence: 1 }, { pence: 1.5 }] }, 'lines[1].pence'],
  ['valibot', orders.events.packed, { orderId: '1', boxes: 'two' }, 'boxes'],
  ['arktype', orders.events.shipped, { orderId: 4711 }, 'orderId'],
])('%s: what fails its schema is refused with the path of the problem', (_, contract, data, path) => {
  const attempt = () => seal(contract as never, data as never, {})
  expect(attempt).toThrow(path)
  try {
    attempt()
  } catch (error) {
    expect(isSpillwayError(error, 'INVALID_DATA') && error.details).toMatchObject({ issues: [{ path }] })
  }
})

test('a sealed message is CloudEvents 1.0 and opens to the same data', async () => {
  const data = { orderId: '4711', lines: [{ pence: 250 }] }
  const { body } = await seal(orders.events.placed, data, {
    source: '/orders',
    causationId: 'c',
  })
  const message = (await unseal(orders.events.placed, body)) as Message<typeof data>
  expect(message).toMatchObject({
    specversion: '1.0',
    source: '/orders',
    type: 'orders.placed',
    subject: '4711',
    partitionkey: '4711',
    datacontenttype: 'application/json',
    dataschema: 'urn:spillway:orders.placed:1',
    causationid: 'c',
    data,
  })
  expect(new Date(message.time).toISOString()).toBe(message.time)
})

test('a validator that answers later works the same', async () => {
  const slow = z
    .object({ n: z.number() })
    .refine(async ({ n }) => n > 0, { path: ['n'], message: 'not positive' })
  const { events } = context('late', { events: { counted: event({ data: slow }) } })
  const { body } = await seal(events.counted, { n: 1 }, {})
  expect(await unseal(events.counted, body)).toMatchObject({ data: { n: 1 } })
  await expect(async () => seal(events.counted, { n: -1 }, {})).rejects.toThrow('n: not positive')
})

const v3 = context('people', {
  events: {
    moved: event({
      version: 3,
      data: z.object({ id: z.string(), street: z.string(), country: z.string() }),
      upcast: {
        1: (old: { id: string; address: string }) => ({ id: old.id, street: old.address }),
        2: (old: { id: string; street: string }) => ({ ...old, country: 'KR' }),
      },
    }),
  },
}).events.moved

const stored = (dataschema: string, data: unknown) =>
  JSON.stringify({ specversion: '1.0', id: 'i', source: '/people', type: 'people.moved', dataschema, data })

test('old versions are brought up step by step', () => {
  expect(unseal(v3, stored('urn:spillway:people.moved:1', { id: '1', address: 'A' }))).toMatchObject({
    data: { id: '1', street: 'A', country: 'KR' },
  })
  expect(unseal(v3, stored('urn:spillway:people.moved:2', { id: '1', street: 'A' }))).toMatchObject({
    data: { country: 'KR' },
  })
})

test.each([
  ['a version from the future', stored('urn:spillway:people.moved:4', {}), 'UNKNOWN_VERSION'],
  ['a schema of somebody else', stored('https://example.org/s', {}), 'UNKNOWN_VERSION'],
  ['an upcaster that yields nonsense', stored('urn:spillway:people.moved:1', { id: '1' }), 'UPCAST_FAILED'],
  ['an upcaster that throws', stored('urn:spillway:people.moved:1', null), 'UPCAST_FAILED'],
  ['data that its schema refuses', stored('urn:spillway:people.moved:3', { id: 1 }), 'INVALID_MESSAGE'],
  [
    'a message of another type',
    stored('urn:spillway:people.moved:3', {}).replace('people.moved', 'people.born'),
    'INVALID_MESSAGE',
  ],
  ['no JSON', '{', 'INVALID_MESSAGE'],
  ['no envelope', '[]', 'INVALID_MESSAGE'],
  ['no id', JSON.stringify({ specversion: '1.0', type: 't', source: 's', data: 1 }), 'INVALID_MESSAGE'],
])('%s comes back as an error, not as an exception', (_, body, code) => {
  const opened = unseal(v3, body)
  expect(opened).toBeInstanceOf(SpillwayError)
  expect((opened as SpillwayError).code).toBe(code)
})

test.each([
  ['a bad name', () => context('9 lives', {}), 'INVALID_NAME'],
  [
    'a version below 1',
    () => context('a', { events: { b: event({ data: unchecked(), version: 0 }) } }),
    'CONFIGURATION',
  ],
  [
    'an upcaster from the future',
    () => context('a', { events: { b: event({ data: unchecked(), upcast: { 1: () => 1 } }) } }),
    'CONFIGURATION',
  ],
  ['no schema', () => context('a', { events: { b: event({ data: undefined as never }) } }), 'CONFIGURATION'],
])('%s is refused when the contract is made', (_, make, code) => {
  expect(make).toThrow(code)
})

test('what JSON cannot carry is refused', () => {
  const { events } = context('any', { events: { e: event({ data: unchecked<unknown>() }) } })
  const circle: { self?: unknown } = {}
  circle.self = circle
  for (const data of [undefined, circle, 1n]) expect(() => seal(events.e, data, {})).toThrow('INVALID_DATA')
})

test.each(['', 'a\0b', '\ud800', 'k'.repeat(201), 7, null])('%j is no key', (key) => {
  const { events } = context('any', {
    events: { e: event({ data: unchecked<number>(), key: () => key as string }) },
  })
  expect(() => seal(events.e, 1, {})).toThrow('INVALID_DATA')
})

test('the key is asked for only once the data is known to be sound', async () => {
  const data = z.object({ customer: z.object({ id: z.string() }) })
  const { events } = context('any', { events: { e: event({ data, key: ({ customer }) => customer.id }) } })
  expect(await seal(events.e, { customer: { id: '7' } }, {})).toMatchObject({ key: '7' })
  for (const [given, path] of [
    [undefined, 'the value'],
    [{}, 'customer'],
    [{ customer: {} }, 'customer.id'],
  ] as const)
    expect(() => seal(events.e, given as never, {})).toThrow(
      new RegExp(`schema: ${path}: .*INVALID_DATA`, 's'),
    )
})

test('a key function that throws is said so', () => {
  const key = () => {
    throw 'no key'
  }
  const { events } = context('any', { events: { e: event({ data: unchecked<number>(), key }) } })
  expect(() => seal(events.e, 1, {})).toThrow(/any\.e cannot be told.*"no key".*INVALID_DATA/s)
})

test('a tombstone says so in its envelope, and needs a key that it can end', async () => {
  interface User {
    readonly id: string
    readonly gone?: boolean
    readonly note?: string
  }
  const options = {
    data: unchecked<User>(),
    key: (of: User) => of.id,
    tombstone: (of: User) => of.gone === true,
  }
  const { user } = context('users', { events: { user: event(options) }, retain: { compact: true } }).events
  const sealed = await seal(user, { id: 'ada', gone: true }, {})
  expect(sealed).toMatchObject({ key: 'ada', tombstone: true })
  expect(isTombstone(sealed.body)).toBe(true)
  expect(JSON.parse(sealed.body)).toMatchObject({ tombstone: true, data: { id: 'ada', gone: true } })
  // What stands in the data of an event says nothing.
  const told = await seal(user, { id: 'ada', note: ',"tombstone":true', gone: false }, {})
  expect(told.tombstone).toBe(false)
  expect(isTombstone(told.body)).toBe(false)
  const nested = unchecked<{ a: number; tombstone: boolean }>()
  const plain = context('plain', { events: { said: event({ data: nested }) } }).events.said
  expect(isTombstone((await seal(plain, { a: 1, tombstone: true }, {})).body)).toBe(false)
})

test('an event without a key has no tombstone, and no place in a stream that is compacted', () => {
  const data = unchecked<number>()
  const keyless = { events: { said: event({ data }) } }
  expect(() => context('wrong', { ...keyless, retain: { compact: true } })).toThrow(
    expect.objectContaining({ code: 'CONFIGURATION', message: expect.stringContaining('wrong.said') }),
  )
  expect(() => context('wrong', { events: { said: event({ data, tombstone: () => true }) } })).toThrow(
    expect.objectContaining({ code: 'CONFIGURATION' }),
  )
})
