// Testing services that ask and answer: a service without its neighbours, a neighbour that is a fake, and the proof that the fake is like the real one.
import { expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { call } from '../../core/call-contract.ts'
import { context, event } from '../../core/contract.ts'
import { run } from '../../topology/run.ts'
import { service } from '../../topology/service.ts'
import { topology } from '../../topology/topology.ts'
import { memoryDatabase } from '../memory/database.ts'
import { memory } from '../memory/engine.ts'
import { MemoryTable } from '../memory/table.ts'
import { callSample, conformsTo } from './call-samples.ts'
import { type FakeContext, fakeContext } from './fake-context.ts'
import { testService } from './test-service.ts'

vi.setConfig({ testTimeout: 20_000 })

const Order = z.object({ product: z.string().min(1), pieces: z.int().positive() })
const inventory = context('inventory', {
  events: { reserved: event({ data: Order }) },
  calls: {
    stockOf: call({
      input: z.object({ product: z.string() }),
      output: z.object({ pieces: z.int() }),
      errors: { unknownProduct: z.object({ product: z.string() }) },
    }),
    reserve: call({
      kind: 'command',
      input: Order,
      output: z.object({ reservation: z.int() }),
      errors: { soldOut: z.object({ left: z.int() }) },
      deadline: '2s',
    }),
  },
})
const { stockOf, reserve } = inventory.calls

/** The real neighbour. */
function inventoryService() {
  const stock = new MemoryTable<number>()
  stock.set('bowl', 3)
  return service(inventory, { database: memoryDatabase({ db: stock }) })
    .answer(stockOf, ({ product }, { db, fail }) => {
      const pieces = db.get(product)
      return pieces === undefined ? fail('unknownProduct', { product }) : { pieces }
    })
    .answer(reserve, (order, { commit, fail, publish }) => {
      if (order.product === 'broken') throw new Error('a defect')
      publish(inventory.events.reserved, order)
      return commit(({ db }) => {
        const left = (db.get(order.product) ?? 0) - order.pieces
        if (left < 0) return fail('soldOut', { left: db.get(order.product) ?? 0 })
        db.set(order.product, left)
        return { reservation: left }
      })
    })
}

const fake = (): Promise<FakeContext> => {
  let reservations = 0
  return fakeContext(inventory, {
    stockOf: ({ product }, { fail }) =>
      product === 'bowl' ? { pieces: 3 } : fail('unknownProduct', { product }),
    reserve: ({ pieces }, { fail }) =>
      pieces > 3 ? fail('soldOut', { left: 3 }) : { reservation: ++reservations },
  })
}

const samples = [
  callSample(stockOf, { product: 'bowl' }, { ok: ({ pieces }) => pieces > 0 }),
  callSample(stockOf, { product: 'spoon' }, { failed: 'unknownProduct', data: { product: 'spoon' } }),
  callSample(stockOf, { sku: 1 }, { refused: true }),
  callSample(reserve, { product: 'bowl', pieces: 1 }, { ok: true }),
  callSample(reserve, { product: 'bowl', pieces: 99 }, { failed: 'soldOut' }),
  callSample(reserve, { product: 'bowl', pieces: 0 }, { refused: true }),
]

test('the fake and the real neighbour behave alike', async () => {
  await using real = await run(topology({ contexts: [inventoryService()], engine: 'memory:' }), {
    engine: memory(),
  })
  await using inPlace = await fake()
  await conformsTo(real, samples)
  await conformsTo(inPlace, samples)
})

test('a fake that is not like its samples is found out, with all that is wrong', async () => {
  await using wrong = await fakeContext(inventory, {
    stockOf: () => ({ pieces: 0 }),
    reserve: () => ({ reservation: 1.5 }),
  })
  const failed = await conformsTo(wrong, samples).catch((thrown: Error) => thrown.message)
  expect(failed).toContain('sample 1, inventory.stockOf: it gave another answer: 200 {"pieces":0}')
  expect(failed).toContain('sample 2, inventory.stockOf: it was to fail as unknownProduct')
  expect(failed).toContain('sample 4, inventory.reserve')
  await expect(conformsTo('http://127.0.0.1:9', samples)).rejects.toThrow()
})

const checkout = context('checkout', {
  calls: { buy: call({ kind: 'command', input: Order, output: z.object({ outcome: z.string() }) }) },
})

const checkoutService = () =>
  service(checkout, { database: memoryDatabase({ db: new MemoryTable<string>() }) }).answer(
    checkout.calls.buy,
    async (order, context) => {
      const reserved = await context.call(reserve, order, { deadline: '3s' })
      if (reserved.status === 'unknown') throw reserved.error
      const outcome = reserved.status === 'ok' ? `reservation ${reserved.value.reservation}` : reserved.reason
      return context.commit(({ db }) => {
        db.set(context.key, outcome)
        return { outcome }
      })
    },
  )

test('a service is tested without its neighbour: the fake answers, refuses, is down, loses its answers', async () => {
  await using neighbour = await fake()
  await using tested = await testService(checkoutService(), { addresses: { inventory: [neighbour.address] } })
  const buy = (key?: string, pieces = 1) =>
    tested.ask(checkout.calls.buy, { product: 'bowl', pieces }, key === undefined ? {} : { key })

  expect((await buy('k1')).result).toMatchObject({ status: 'ok', value: { outcome: 'reservation 1' } })
  expect((await buy('k2', 4)).result).toMatchObject({ status: 'ok', value: { outcome: 'soldOut' } })
  expect(neighbour.asked).toMatchObject([
    { type: 'inventory.reserve', version: 1, input: { product: 'bowl', pieces: 1 }, caller: 'checkout' },
    { input: { pieces: 4 } },
  ])

  // The answer is lost: nobody knows, and asking again with the same key gives the one true answer.
  neighbour.dropAnswers()
  expect((await fetch(`${neighbour.address}/health`)).status).toBe(200)
  const lost = await buy('k3')
  expect(lost.result).toMatchObject({ status: 'failed', error: { code: 'ANSWER_FAILED' } })
  const again = await buy('k3')
  expect([again.result, again.replayed]).toMatchObject([
    { status: 'ok', value: { outcome: 'reservation 2' } },
    false,
  ])
  const keys = neighbour.asked.slice(2).map(({ key }) => key)
  expect(new Set(keys).size).toBe(1)

  // A new call that could not leave has certainly done nothing; one that may have been made before stays unknown.
  await neighbour.down()
  expect((await buy('k3')).replayed).toBe(true)
  expect((await buy('k4')).result).toMatchObject({ status: 'failed', error: { code: 'ANSWER_FAILED' } })
  expect((await buy()).result).toMatchObject({ status: 'ok', value: { outcome: 'error' } })
  await neighbour.up()
  neighbour.slow('5s')
  expect((await buy('k5')).result).toMatchObject({ status: 'failed', error: { code: 'ANSWER_FAILED' } })
  await neighbour.up()
  expect((await buy('k3')).replayed).toBe(true)
})

test('ask: a call of the service itself, by its key, with what it sent and what it threw', async () => {
  await using tested = await testService(inventoryService())
  const order = { product: 'bowl', pieces: 2 }
  const first = await tested.ask(reserve, order, { key: 'k1' })
  expectTypeOf(first.result.status).toEqualTypeOf<'ok' | 'failed' | 'unknown'>()
  expect(first).toMatchObject({ result: { status: 'ok', value: { reservation: 1 } }, replayed: false })
  expect(first.published(inventory.events.reserved)).toEqual([order])
  const again = await tested.ask(reserve, order, { key: 'k1' })
  expect(again).toMatchObject({
    result: { status: 'ok', value: { reservation: 1 } },
    replayed: true,
    messages: [],
  })
  const none = await tested.ask(reserve, order)
  expect(none.result).toMatchObject({ status: 'failed', reason: 'soldOut', data: { left: 1 } })
  const broken = await tested.ask(reserve, { product: 'broken', pieces: 1 })
  expect(broken.result).toMatchObject({ status: 'failed', error: { code: 'ANSWER_FAILED' } })
  expect(broken.error?.message).toBe('a defect')
  expect((await tested.ask(reserve, { product: 'cup', pieces: 1 }, { key: 'k1' })).result).toMatchObject({
    error: { code: 'KEY_REUSED' },
  })
  expect(tested.db.get('bowl')).toBe(1)
  await expect(tested.ask(reserve, { product: 'bowl', pieces: 0 })).rejects.toMatchObject({
    code: 'INVALID_DATA',
  })
  await expect(tested.ask(checkout.calls.buy, order)).rejects.toMatchObject({ code: 'CONFIGURATION' })
})

test('the answers of a fake are typed by the contract', async () => {
  // @ts-expect-error: no such answer
  const wrong = fakeContext(inventory, { stockOf: () => ({ number: 1 }) })
  await (await wrong).close()
  // @ts-expect-error: no such call
  await expect(fakeContext(inventory, { stockIn: () => ({ pieces: 1 }) })).rejects.toMatchObject({
    code: 'CONFIGURATION',
  })
})
