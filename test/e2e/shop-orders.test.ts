// The services of the shop, handler by handler: what comes in, and what came of it. The view is rebuilt on a running topology.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Invoice, orders } from '../../examples/shop/orders/contract.ts'
import { rebuildRevenue, revenueEntries } from '../../examples/shop/orders/revenue.ts'
import { ordersService } from '../../examples/shop/orders/service.ts'
import { payments } from '../../examples/shop/payments/contract.ts'
import { paymentsService } from '../../examples/shop/payments/service.ts'
import { run, topology } from '../../examples/shop/spillway.ts'
import { memory, testService } from '../../src/testing/index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const row = {
  stockCode: 'A1',
  description: 'Cup',
  date: '2011-01-01 10:00:00',
  customer: '17850.0',
  country: 'Malta',
}
const invoice = (number: string, ...quantities: number[]): Invoice => ({
  number,
  rows: quantities.map((quantity) => ({ ...row, quantity: String(quantity), unitPrice: '1.25' })),
})
const order = {
  invoice: '1',
  customer: '17850',
  country: 'Malta',
  date: '2011-01-01T10:00:00',
  pence: 250,
  lines: [{ stockCode: 'A1', description: 'Cup', quantity: 2, pence: 250 }],
}

test('orders and cancellations are published, with what is a sale', async () => {
  await using service = await testService(ordersService(folder))
  const { intake } = orders.queues
  const placed = await service.when(intake, invoice('1', 2, -7))
  expect(placed.published(orders.events.placed)).toMatchObject([
    { customer: '17850', country: 'Malta', pence: 250, lines: [{ quantity: 2, pence: 250 }] },
  ])
  const cancelled = await service.when(intake, invoice('C2', -1))
  expect(cancelled.published(orders.events.cancelled)).toMatchObject([{ pence: -125 }])
  expect((await service.when(intake, invoice('3', 0))).messages).toEqual([])
  expect((await service.when(intake, invoice('A4', 1))).messages).toEqual([])
})

test('an invoice that comes twice is taken in once', async () => {
  await using service = await testService(ordersService(folder))
  await service.given(orders.queues.intake, invoice('1', 2))
  expect(await service.when(orders.queues.intake, invoice('1', 50))).toMatchObject({
    outcome: 'done',
    messages: [],
  })
})

test('an order is charged once, and its cancellation refunded', async () => {
  await using service = await testService(paymentsService(folder))
  const charged = await service.when(orders.events.placed, order)
  expect(charged.published(payments.events.charged)).toEqual([
    { invoice: '1', customer: '17850', pence: 250 },
  ])
  expect(await service.when(orders.events.placed, order)).toMatchObject({ outcome: 'done', messages: [] })
  const refunded = await service.when(orders.events.cancelled, { ...order, invoice: 'C1', pence: -250 })
  expect(refunded.published(payments.events.refunded)).toMatchObject([{ invoice: 'C1', pence: 250 }])
})

test('the view can be deleted and rebuilt', async () => {
  const service = ordersService(folder)
  await using running = await run(topology({ contexts: [service], engine: 'memory:' }), { engine: memory() })
  const { db } = running.service(service).database!
  await running
    .queue(orders.queues.intake)
    .sendMany(Array.from({ length: 50 }, (_, index) => invoice(String(index), index + 1)))
  await running.drained()
  const before = revenueEntries(db)
  expect(before).toHaveLength(50)
  db.exec('UPDATE revenue SET pence = 0')
  expect(revenueEntries(db)).not.toEqual(before)
  expect(await rebuildRevenue(running, service)).toBe(50)
  expect(revenueEntries(db)).toEqual(before)
})

test('the nightly report has what there is, once for each night, and is due at three in London', async () => {
  await using service = await testService(ordersService(folder))
  await service.given(orders.events.placed, order)
  const { report } = orders.queues
  await service.given(report, {}, { id: 'night' })
  await service.given(report, {}, { id: 'night' })
  expect(service.db.prepare('SELECT orders, pence FROM reports').all()).toEqual([{ orders: 1, pence: 250 }])
  const engine = memory()
  await using running = await run(topology({ contexts: [ordersService(folder)], engine: 'memory:' }), {
    engine,
  })
  const [schedule] = await running.queue(report).schedules()
  expect(schedule).toMatchObject({ name: 'nightly', cron: '0 3 * * *', timeZone: 'Europe/London' })
  const hour = new Intl.DateTimeFormat('en', { timeZone: 'Europe/London', hour: 'numeric', hourCycle: 'h23' })
  expect(hour.format(schedule!.due)).toBe('03')
})
