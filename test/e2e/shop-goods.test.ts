// The services that handle goods, handler by handler: what is set aside, bought, shipped; and the clerks, who get in each other's way.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { delivery } from '../../examples/shop/delivery/contract.ts'
import { deliveryService } from '../../examples/shop/delivery/service.ts'
import { noteAddress } from '../../examples/shop/delivery/tables.ts'
import { inventory } from '../../examples/shop/inventory/contract.ts'
import { correct, correctedPieces, openCorrections } from '../../examples/shop/inventory/corrections.ts'
import { inventoryService } from '../../examples/shop/inventory/service.ts'
import { type Order, orders } from '../../examples/shop/orders/contract.ts'
import { payments } from '../../examples/shop/payments/contract.ts'
import { open } from '../../examples/shop/spillway.ts'
import { memory, testService } from '../../src/testing/index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goods-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const order = (invoice: string, ...goods: readonly (readonly [string, number])[]): Order => ({
  invoice,
  customer: '17850',
  country: 'Malta',
  date: '2011-01-01T10:00:00',
  pence: 100,
  lines: goods.map(([stockCode, quantity]) => ({ stockCode, description: 'Cup', quantity, pence: 100 })),
})
const { placed, cancelled } = orders.events
const { reserved } = inventory.events
const { restock, complete } = inventory.queues

test('what is on the shelf is set aside; services have no pieces; an order that comes twice is reserved once', async () => {
  await using service = await testService(inventoryService(folder))
  const then = await service.when(placed, order('1', ['10001A', 30], ['POST', 1]))
  expect(then.published(reserved)).toEqual([
    { invoice: '1', customer: '17850', country: 'Malta', pieces: 30 },
  ])
  expect((await service.when(placed, order('1', ['10001A', 30]))).messages).toEqual([])
  expect((await service.when(placed, order('2', ['POST', 1]))).published(reserved)).toMatchObject([
    { pieces: 0 },
  ])
})

test('an order waits for all that is missing, which is bought for it', async () => {
  await using service = await testService(inventoryService(folder))
  await service.given(placed, order('1', ['10001A', 40]))
  const short = await service.when(placed, order('2', ['10001A', 20], ['10002B', 50], ['10003C', 1]))
  expect(short.published(reserved)).toEqual([])
  const missing = short.sent(restock)
  expect(missing).toEqual([
    { invoice: '2', line: 0, product: '10001A', pieces: 12 },
    { invoice: '2', line: 1, product: '10002B', pieces: 2 },
  ])
  expect(short.sent(complete)).toEqual([{ invoice: '2' }])
  await service.given(restock, missing[0]!)
  // The flow does not let it come so early; if it came, nobody would be told what is not true.
  expect(await service.when(complete, { invoice: '2' })).toMatchObject({ outcome: 'retried', messages: [] })
  await service.given(restock, missing[1]!)
  expect((await service.when(complete, { invoice: '2' })).published(reserved)).toMatchObject([
    { invoice: '2', pieces: 71 },
  ])
  const stock = service.db.prepare('SELECT * FROM stock ORDER BY product').all()
  expect(stock.map((row) => Object.values(row))).toEqual([
    ['10001A', 0, 12],
    ['10002B', 0, 2],
    ['10003C', 47, 0],
  ])
})

test('what comes back does not go on the shelf', async () => {
  await using service = await testService(inventoryService(folder))
  await service.given(cancelled, order('C1', ['10001A', -7], ['POST', -1]))
  expect(service.db.prepare('SELECT pieces FROM returns').get()).toEqual({ pieces: 7 })
  expect(service.db.prepare('SELECT count(*) AS n FROM stock').get()).toEqual({ n: 0 })
})

test.each(['paid first', 'reserved first'])(
  'a parcel leaves when it is paid and all of it lies ready: %s',
  async (way) => {
    await using service = await testService(deliveryService(folder))
    const paid = () => service.when(payments.events.charged, { invoice: '1', customer: null, pence: 5 })
    const ready = () => service.when(reserved, { invoice: '1', customer: null, country: 'Malta', pieces: 3 })
    const [first, second] = way === 'paid first' ? [paid, ready] : [ready, paid]
    const { orderShipped } = delivery.events
    expect((await first()).published(orderShipped)).toEqual([])
    expect((await second()).published(orderShipped)).toEqual([{ invoice: '1', version: expect.any(Number) }])
    expect((await first()).messages).toEqual([])
  },
)

test('without an address an order is parked, and goes when somebody has asked', async () => {
  await using service = await testService(deliveryService(folder))
  const ready = { invoice: '1', customer: null, country: 'Unspecified', pieces: 3 }
  await service.given(payments.events.charged, { invoice: '1', customer: null, pence: 5 })
  expect(await service.when(reserved, ready)).toMatchObject({ outcome: 'parked', messages: [] })
  await service.given(payments.events.charged, { invoice: '2', customer: null, pence: 5 })
  noteAddress(service.db, '2', 'Malta')
  const then = await service.when(reserved, { ...ready, invoice: '2' })
  expect(then.published(delivery.events.orderShipped)).toEqual([
    { invoice: '2', version: expect.any(Number) },
  ])
})

test('clerks who book at the same time lose nothing, and what is booked again is known', async () => {
  await using spillway = await open(memory())
  const stream = await openCorrections(spillway)
  const book = (id: number) => correct(stream, `b${id}`, { product: '10001A', pieces: id, note: 'found' })
  const ids = [1, 2, 3, 4, 5, 6, 7, 8]
  expect(await Promise.all(ids.map(book))).toEqual(ids.map(() => true))
  expect(await Promise.all(ids.map(book))).toEqual(ids.map(() => false))
  const versions = []
  for await (const { version } of stream.readKey('10001A')) versions.push(version)
  expect(versions).toEqual(ids)
  await correct(stream, 'lost', { product: '10002B', pieces: -9, note: 'wet boxes' })
  expect(await correctedPieces(stream)).toEqual({ found: 36, lost: 9 })
})
