// Handlers of pointer events are tested without their owner: a test says what it would answer, and the contract of its call has its say.
import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { call } from '../../core/call-contract.ts'
import { context, queue } from '../../core/contract.ts'
import { pointer } from '../../core/pointer-contract.ts'
import { unchecked } from '../../core/schema.ts'
import { service } from '../../topology/service.ts'
import { memoryDatabase } from '../memory/database.ts'
import { MemoryTable } from '../memory/table.ts'
import { testService } from './test-service.ts'

const Order = z.object({
  orderId: z.string(),
  version: z.int(),
  placedAt: z.iso.datetime().transform((text) => new Date(text)),
})
const orders = context('orders', {
  events: {
    shipped: pointer({ key: 'orderId', fetch: 'getOrder' }),
    counted: pointer({ key: 'orderId', fetch: 'countOf' }),
  },
  calls: {
    getOrder: call({
      input: z.object({ orderId: z.string() }),
      output: Order,
      errors: { gone: z.object({ since: z.string() }) },
    }),
    countOf: call({
      input: z.object({ orderId: z.string() }),
      output: unchecked<{ version: number; count: number }>(),
    }),
  },
})
const delivery = context('delivery', {
  queues: { label: queue({ data: unchecked<{ orderId: string; year: number }>() }) },
})

const delivering = () =>
  service(delivery, { database: memoryDatabase({ db: new MemoryTable<string>() }) })
    .on(orders.events.shipped, async (event, { commit, send }) => {
      expectTypeOf(event.data).toEqualTypeOf<{ readonly orderId: string } & { readonly version: number }>()
      expectTypeOf(event.current).toEqualTypeOf<
        | { readonly state: 'found'; readonly value: z.infer<typeof Order>; readonly version: number }
        | { readonly state: 'gone'; readonly data: { since: string } }
      >()
      const { current, data } = event
      if (current.state === 'gone')
        return commit(({ db }) => db.set(data.orderId, `gone since ${current.data.since}`))
      const { orderId, placedAt } = current.value
      send(delivery.queues.label, { orderId, year: placedAt.getUTCFullYear() })
      return commit(({ db }) => db.set(orderId, `version ${current.version} for ${data.version}`))
    })
    .on(
      orders.events.counted,
      (event) => {
        // Its call declares no error that would say so.
        expectTypeOf(event.current.state).toEqualTypeOf<'found'>()
        if (event.current.value.count < 0) throw new Error('less than nothing')
      },
      { coalesce: true },
    )
    .work(delivery.queues.label, () => {})

const value = { orderId: '4711', version: 4, placedAt: '2026-03-01T12:00:00Z' }

test('the handler is given what the owner would answer, read by the contract of its call', async () => {
  await using tested = await testService(delivering())
  const then = await tested.when(
    orders.events.shipped,
    { orderId: '4711', version: 3 },
    { current: { state: 'found', value } },
  )
  expect(then.outcome).toBe('done')
  expect(then.sent(delivery.queues.label)).toEqual([{ orderId: '4711', year: 2026 }])
  expect(tested.db.get('4711')).toBe('version 4 for 3')
  await tested.given(
    orders.events.shipped,
    { orderId: '4711', version: 5 },
    { current: { state: 'gone', data: { since: 'monday' } } },
  )
  expect(tested.db.get('4711')).toBe('gone since monday')
})

test('a failing handler of a pointer event fails like any other', async () => {
  await using tested = await testService(delivering())
  const then = await tested.when(
    orders.events.counted,
    { orderId: '4711', version: 1 },
    { current: { state: 'found', value: { version: 1, count: -1 } } },
  )
  expect(then).toMatchObject({ outcome: 'retried', error: { message: 'less than nothing' } })
})

test.each<[string, object | undefined, string]>([
  ['nothing', undefined, 'CONFIGURATION'],
  [
    'an answer against the contract',
    { state: 'found', value: { ...value, version: 'four' } },
    'INVALID_DATA',
  ],
  ['an older version', { state: 'found', value: { ...value, version: 2 } }, 'CONFIGURATION'],
  ['a failure against the contract', { state: 'gone', data: {} }, 'INVALID_DATA'],
])('no owner answers so: %s', async (_, current, code) => {
  await using tested = await testService(delivering())
  const when = tested.when(orders.events.shipped, { orderId: '4711', version: 3 }, { current } as never)
  await expect(when).rejects.toMatchObject({ code })
})

test('an owner without the error never says that something is gone', async () => {
  await using tested = await testService(delivering())
  const gone = { current: { state: 'gone', data: {} } } as never
  await expect(
    tested.when(orders.events.counted, { orderId: '4711', version: 3 }, gone),
  ).rejects.toMatchObject({ code: 'CONFIGURATION' })
})

test('only pointer events can be coalesced', () => {
  const plain = context('plain', {
    events: { said: { kind: 'event', options: { data: unchecked<string>() } } },
  })
  const options = { coalesce: true } as object
  expect(() => service(delivery).on(plain.events.said, () => {}, options)).toThrow('coalesce')
})
