// What a message says of how it is to be kept: by its contract, by the options of a send, and read again from its body.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { queueContract } from '../core/contract.ts'
import { isSpillwayError } from '../core/errors.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Consumer } from './consumer.ts'
import { carriedBy, outgoing, type SendOptions } from './outgoing.ts'
import { Queue } from './queue.ts'
import { declareQueues } from './rules.ts'

const Order = z.object({ id: z.string(), tenant: z.string().optional(), rush: z.boolean().optional() })
type Order = z.infer<typeof Order>

const full = queueContract('full', {
  data: Order,
  key: (order) => order.id,
  priority: (order) => (order.rush ? 10 : undefined),
  dedup: { key: (order) => `dedup "${order.id}"`, for: '1h' },
  group: (order) => order.tenant,
  ttl: '1d',
})
const plain = queueContract('plain', { data: Order })

let clock: FakeClock
let engine: Engine
const consumers: Consumer[] = []

beforeEach(() => {
  clock = fakeClock()
  engine = memory({ clock })
})
afterEach(async () => {
  await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()))
  await engine.close()
})

const seal = (data: Order, options: SendOptions = {}, contract = full) =>
  outgoing(contract, data, options, { source: '/shop' }, clock)

test('the contract speaks for every message, the options for this one', async () => {
  expect(await seal({ id: 'o1', tenant: 'acme', rush: true })).toMatchObject({
    key: 'o1',
    priority: 10,
    dedup: { key: 'dedup "o1"', forMs: 3_600_000 },
    group: 'acme',
  })
  const later = await seal({ id: 'o1' }, { priority: -5, dedup: 'mine', delay: '1m', id: 'i', ttl: '2m' })
  expect(later).toMatchObject({ id: 'i', priority: -5, dedup: { key: 'mine' }, delayMs: 60_000 })
  expect(later.group).toBeUndefined()
  const at = new Date(clock.now() + 5_000)
  expect(await seal({ id: 'o1' }, { at, dedup: { key: 'd', for: '1s' } })).toMatchObject({
    delayMs: 5_000,
    dedup: { key: 'd', forMs: 1_000 },
  })
  expect(await seal({ id: 'o1' }, { at: new Date(0) })).not.toHaveProperty('delayMs')
})

test('a relay reads the same from the body, however the data looks, and what is left of a time', async () => {
  const hostile = { id: '","data":{"priority":99', tenant: '"group":"x"\\', rush: true }
  const { body, ...carried } = await seal(hostile, { delay: '1m' })
  const { id: _, key: __, tombstone: ___, ...expected } = carried
  expect(carriedBy(body, clock.now())).toEqual(expected)
  expect(carriedBy(body, clock.now() + 20_000)).toMatchObject({
    delayMs: 40_000,
    dedup: { forMs: 3_580_000 },
  })
  const late = carriedBy(body, clock.now() + 86_400_000)
  expect(late).toEqual({ priority: 10, group: hostile.tenant, dedup: { key: expected.dedup!.key } })
  expect(carriedBy((await seal({ id: '1' }, {}, plain)).body, clock.now())).toEqual({})
  expect(carriedBy('{}', 0)).toEqual({})
})

test('a message that asks for nothing costs nothing: no attribute more', async () => {
  const { body } = await seal({ id: '1' }, {}, plain)
  expect(Object.keys(JSON.parse(body))).toEqual([
    'specversion',
    'id',
    'source',
    'type',
    'time',
    'datacontenttype',
    'dataschema',
    'correlationid',
    'data',
  ])
})

test.each<[string, SendOptions, Order, typeof plain]>([
  ['a delay and a time', { delay: 1, at: new Date() }, { id: '1' }, plain],
  ['no time at all', { at: new Date(Number.NaN) }, { id: '1' }, plain],
  ['a life that ends before it begins', { delay: '1m', ttl: '1m' }, { id: '1' }, plain],
  ['a delay beyond every calendar', { delay: 1e16 }, { id: '1' }, plain],
  ['a time after a hundred years', { at: new Date(Date.now() + 40_000 * 86_400_000) }, { id: '1' }, plain],
  ['a life beyond every calendar', { ttl: 1e16 }, { id: '1' }, plain],
  ['a dedup key for longer than a year', { dedup: { key: 'x', for: '400d' } }, { id: '1' }, full],
  ['no life', { ttl: 0 }, { id: '1' }, plain],
  ['a priority where the contract has none', { priority: 1 }, { id: '1' }, plain],
  ['a dedup key where the contract has none', { dedup: 'x' }, { id: '1' }, plain],
  ['a priority out of range', { priority: 101 }, { id: '1' }, full],
  ['a fraction of a priority', { priority: 0.5 }, { id: '1' }, full],
])('%s is refused before anything is stored', (_, options, data, contract) => {
  expect(() => seal(data, options, contract)).toThrow('INVALID_OPTION')
})

test.each<[string, Order]>([
  ['key', { id: '' }],
  ['group', { id: '1', tenant: 'a\0b' }],
  ['dedup key', { id: 'x'.repeat(195) }],
])('a %s that no engine can hold is refused', (what, data) => {
  expect(() => seal(data)).toThrow(`The ${what} of full`)
})

test('functions of the data are asked only when it is valid', () => {
  expect(() => seal({ rush: 1 } as never)).toThrow('INVALID_DATA')
})

test('a message that is claimed too late is a dead letter, and is not handled', async () => {
  const contract = queueContract('offers', { data: Order, ttl: '10s' })
  await declareQueues(engine.name, engine.queue!, [contract])
  const offers = new Queue(contract, engine.queue!, engine.name, clock)
  await offers.send({ id: 'late' })
  await offers.send({ id: 'patient' }, { ttl: '1h' })
  await clock.advance(10_000)
  await offers.send({ id: 'fresh' })
  const seen: string[] = []
  const codes: string[] = []
  consumers.push(
    offers.consume(({ data }) => void seen.push(data.id), {
      onReport: ({ error }) => codes.push(error.code),
    }),
  )
  await clock.advance(10)
  expect(seen).toEqual(['patient', 'fresh'])
  expect(codes).toEqual(['EXPIRED'])
  expect(await offers.deadLetters()).toMatchObject([{ reason: expect.stringContaining('[EXPIRED]') }])
})

test('a send resolves with the id of the message that will do the work', async () => {
  const contract = queueContract('once', { data: Order, dedup: (order) => order.id })
  await declareQueues(engine.name, engine.queue!, [contract])
  const once = new Queue(contract, engine.queue!, engine.name, clock)
  const first = await once.send({ id: 'a' })
  expect(await once.send({ id: 'a' })).toBe(first)
  const ids = await once.sendMany([{ id: 'a' }, { id: 'b' }, { id: 'b' }, { id: 'c' }], (order, index) => ({
    id: `${order.id}${index}`,
  }))
  expect(ids).toEqual([first, 'b1', 'b1', 'c3'])
  expect(await once.count()).toMatchObject({ ready: 3 })
  expect(await once.send({ id: 'a' }, { dedup: 'another', id: 'mine' })).toBe('mine')
})

test('options of a send of many are those of each', async () => {
  await declareQueues(engine.name, engine.queue!, [plain])
  const orders = new Queue(plain, engine.queue!, engine.name, clock)
  await orders.sendMany([{ id: 'a' }, { id: 'b' }], ({ id }) => (id === 'b' ? { delay: '1m' } : {}))
  expect(await orders.count()).toMatchObject({ ready: 1, delayed: 1 })
  await orders.sendMany([{ id: 'c' }], { delay: '1m', correlationId: 'trip' })
  const peeked = await orders.peek()
  expect(peeked.at(-1)!.message).toMatchObject({ correlationid: 'trip', data: { id: 'c' } })
  const failed = orders.sendMany([{ id: 'd' }, { id: 'e' }], (_, index) => ({
    ttl: index === 1 ? -1 : 1_000,
  }))
  await expect(failed).rejects.toSatisfy((error) => isSpillwayError(error, 'INVALID_OPTION'))
  expect(await orders.count()).toMatchObject({ ready: 1, delayed: 2 })
})
