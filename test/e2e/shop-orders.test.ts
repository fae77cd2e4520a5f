// A service under test is a topology of one, on the in-memory engine: what goes in is sent, what comes out is replayed.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Invoice, type Order, orders } from '../../examples/shop/orders/contract.ts'
import { rebuildRevenue, revenueEntries } from '../../examples/shop/orders/revenue.ts'
import { ordersService } from '../../examples/shop/orders/service.ts'
import { type Engine, open, type Running, run, topology } from '../../examples/shop/spillway.ts'
import { memory } from '../../src/testing/memory/engine.ts'

let folder: string
let engine: Engine
let running: Running
let service: ReturnType<typeof ordersService>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'))
  engine = memory()
  service = ordersService(folder)
  running = await run(topology({ contexts: [service], engine: 'memory:' }), { engine })
})
afterEach(async () => {
  await running.stop()
  rmSync(folder, { recursive: true })
})

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

async function send(...invoices: Invoice[]): Promise<void> {
  const intake = await (await open(engine)).queue(orders.queues.intake)
  await intake.sendMany(invoices)
  await vi.waitFor(async () => expect(await intake.count()).toMatchObject({ ready: 0, leased: 0 }))
}

async function published(): Promise<Record<string, Order>> {
  const events: Record<string, Order> = {}
  await running.replay(orders, {
    placed: ({ data }) => (events[`placed ${data.invoice}`] = data),
    cancelled: ({ data }) => (events[`cancelled ${data.invoice}`] = data),
  })
  return events
}

const view = () => revenueEntries(running.service(service).database!.db)

test('orders and cancellations are published, with what is a sale', async () => {
  await send(invoice('1', 2, -7), invoice('C2', -1), invoice('3', 0), invoice('A4', 1))
  await vi.waitFor(async () => expect(Object.keys(await published())).toHaveLength(2))
  expect(await published()).toMatchObject({
    'placed 1': { customer: '17850', country: 'Malta', pence: 250, lines: [{ quantity: 2, pence: 250 }] },
    'cancelled C2': { pence: -125 },
  })
})

test('an invoice that comes twice is taken in once', async () => {
  await send(invoice('1', 2))
  await send(invoice('1', 2), invoice('1', 50))
  await vi.waitFor(() => expect(view()).toHaveLength(1))
  expect(await published()).toMatchObject({ 'placed 1': { pence: 250 } })
})

test('the view can be deleted and rebuilt', async () => {
  await send(...Array.from({ length: 50 }, (_, index) => invoice(String(index), index + 1)))
  await vi.waitFor(() => expect(view()).toHaveLength(50))
  const before = view()
  running.service(service).database!.db.exec('UPDATE revenue SET pence = 0')
  expect(view()).not.toEqual(before)
  expect(await rebuildRevenue(running, service)).toBe(50)
  expect(view()).toEqual(before)
})
