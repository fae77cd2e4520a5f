// The shop as a process for each context, each of some killed in the middle: wherever its databases are, it comes to the totals of the CSV.
import { expect, vi } from 'vitest'
import { keepBooks } from '../../examples/shop/accounting/bookkeeper.ts'
import { accounting } from '../../examples/shop/accounting/contract.ts'
import { openDoor } from '../../examples/shop/door/door.ts'
import { bookCorrections } from '../../examples/shop/driver/clerks.ts'
import { readInvoices } from '../../examples/shop/driver/invoices.ts'
import { openPostOffice, type PostOffice } from '../../examples/shop/driver/post-office.ts'
import { openPushService, type PushService } from '../../examples/shop/driver/push-service.ts'
import { isFromWeb, sendInvoices } from '../../examples/shop/driver/send.ts'
import { tills } from '../../examples/shop/driver/till.ts'
import { accountsOf, webCustomers } from '../../examples/shop/driver/web-customers.ts'
import { correctedPieces, openCorrections } from '../../examples/shop/inventory/corrections.ts'
import { notifications } from '../../examples/shop/notifications/contract.ts'
import { orders } from '../../examples/shop/orders/contract.ts'
import { context, open, run, type Spillway, service, topology, unchecked } from '../../src/index.ts'
import { freePort } from '../servers/free-port.ts'
import type { ExpectedTotals } from './expected-totals.ts'
import type { Place } from './shop-place.ts'
import { type Program, startSpillway } from './shop-process.ts'

const waiting = { timeout: 120_000, interval: 20 }

/** A table that grows while a service works. */
const tables = {
  checkout: 'promises',
  pictures: 'thumbnails',
  orders: 'invoices',
  payments: 'ledger',
  inventory: 'reservations',
  delivery: 'parcels',
  notifications: 'receipts',
} as const

export type ShopService = keyof typeof tables

export async function apart(
  place: Place,
  file: string,
  expected: ExpectedTotals,
  killed: readonly ShopService[],
): Promise<void> {
  const [office, pushService] = [await openPostOffice(), await openPushService()]
  const services = new Map<string, Program>()
  const asked = { checkout: await listenAt(), inventory: await listenAt(), delivery: await listenAt() }
  const addresses = Object.fromEntries(Object.entries(asked).map(([name, at]) => [name, [at]]))
  const env = {
    SHOP_DATA: place.folder,
    SHOP_ENGINE: place.engine,
    SMTP_URL: office.url,
    PUSH_URL: pushService.url,
    SHOP_ADDRESSES: JSON.stringify(addresses),
  }
  const startService = async (name: string) => {
    const listen = name in asked ? ['--listen', asked[name as keyof typeof asked]] : []
    const service = startSpillway(['up', '--only', name, ...listen], env, place.config)
    services.set(name, service)
    await service.wrote('up; stop with Ctrl-C')
  }
  await Promise.all(Object.keys(tables).map(startService))

  const spillway = await open(place.engine)
  const intake = await spillway.queue(orders.queues.intake)
  // The door is a program of its own that nobody kills: it has a service only to ask in its name.
  const web = service(context('web', {}))
  const browsing = await run(topology({ contexts: [web], engine: place.engine, addresses }), {
    engine: spillway.engine,
  })
  const asking = browsing.service(web)
  const counter = tills(asking, intake)
  const { invoices } = await readInvoices(file)
  const accounts = accountsOf(invoices.filter(isFromWeb))
  const door = await openDoor({ folder: place.folder, spillway, asking, accounts })
  const customers = webCustomers(door.url, new AbortController().signal)
  const doors = { till: counter.handIn, web: customers.handIn }
  const share = Math.ceil(invoices.length / (killed.length + 1))
  let sent = 0
  const sendSome = async () => {
    const from = sent
    sent += share
    await sendInvoices(doors, invoices.slice(from, sent))
  }
  for (const name of killed) {
    const before = await rows(place, name, tables[name])
    const sending = sendSome()
    await vi.waitFor(
      async () => expect(await rows(place, name, tables[name])).toBeGreaterThan(before),
      waiting,
    )
    services.get(name)!.kill('SIGKILL')
    expect((await services.get(name)!.ended).signal).toBe('SIGKILL')
    await startService(name)
    await sending
  }
  await sendSome()
  const { atOnce, later } = await customers.done()
  expect(atOnce + later).toBe(invoices.filter(isFromWeb).length)
  await bookCorrections(spillway, invoices)
  await byHand(place, expected, spillway, pushService)
  const books = await keepBooks(await spillway.queue(accounting.queues.entries), place.folder)
  expect(books).toEqual(expected.books)
  for (const service of services.values()) service.kill('SIGTERM')
  for (const service of services.values()) expect((await service.ended).code).toBe(0)

  for (const queue of await spillway.engine.queue!.names())
    expect(await spillway.engine.queue!.count(queue), queue).toMatchObject({
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
    })
  const { found, lost } = expected.stock
  expect(await correctedPieces(await openCorrections(spillway))).toEqual({ found, lost })
  await door.close()
  await browsing.stop()
  await spillway.close()
  await expectTables(place, expected, office, pushService)
  await Promise.all([office.close(), pushService.close(), place.close()])
}

const listenAt = async () => `http://127.0.0.1:${await freePort()}`

/** How many rows a table has. */
async function rows(place: Place, service: string, table: string): Promise<number> {
  const [row] = await place.query(service, `SELECT count(*) FROM ${place.table(service, table)}`)
  return Number(row?.[0] ?? 0)
}

/** A query of two columns as an object. */
async function pairs(place: Place, service: string, sql: string): Promise<Record<string, number>> {
  const found = await place.query(service, sql)
  return Object.fromEntries(found.map(([name, value]) => [String(name), Number(value)]))
}

/** What the operator does in `npm start`, here from outside all processes; ends when everything is handled. */
async function byHand(
  place: Place,
  expected: ExpectedTotals,
  spillway: Spillway,
  pushService: PushService,
): Promise<void> {
  const sales = expected.orders + expected.cancellations
  const parked = `SELECT count(*) FROM ${place.spillways('delivery', 'parked')}`
  await vi.waitFor(async () => {
    expect(await rows(place, 'orders', 'invoices')).toBe(expected.invoices)
    expect(await rows(place, 'orders', 'revenue')).toBe(sales)
    expect(await rows(place, 'notifications', 'receipts')).toBe(sales)
    expect(await rows(place, 'pictures', 'thumbnails')).toBe(expected.handled['pictures.thumbnail'])
    expect(await place.query('delivery', parked)).toEqual([[1]])
  }, waiting)
  await place.noteAddress('564051', 'United Kingdom')
  await (await spillway.stream('inventory', { data: unchecked() })).group('delivery').unpark()
  pushService.register()
  const pushes = await spillway.queue(notifications.queues.push)
  const shipped = `SELECT sum(shipped) FROM ${place.table('delivery', 'parcels')}`
  await vi.waitFor(async () => {
    await pushes.redriveAll({ reason: /^403 / })
    expect(await rows(place, 'notifications', 'pushes')).toBe(expected.handled['notifications.push'])
    expect(await place.query('delivery', shipped)).toEqual([[expected.shipped.parcels]])
    expect(await pushes.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 0 })
  }, waiting)
}

/** The services' own tables hold exactly what the CSV says, and every receipt was mailed. */
async function expectTables(
  place: Place,
  expected: ExpectedTotals,
  office: PostOffice,
  pushService: PushService,
): Promise<void> {
  const of = (service: string, name: string) => place.table(service, name)
  const kinds = `SELECT kind, count(*) FROM ${of('orders', 'orders')} GROUP BY kind`
  expect(await pairs(place, 'orders', kinds)).toEqual({
    order: expected.orders,
    cancellation: expected.cancellations,
  })
  const reasons = `SELECT reason, count(*) FROM ${of('orders', 'rejected_rows')} GROUP BY reason`
  expect(await pairs(place, 'orders', reasons)).toEqual(expected.rejectedLines)
  const byCountry = `SELECT country, sum(pence) FROM ${of('orders', 'revenue')} GROUP BY country`
  const revenue = await pairs(place, 'orders', byCountry)
  for (const country of Object.keys(revenue)) revenue[country]! /= 100
  expect(revenue).toEqual(expected.revenueByCountry)
  const settled = `SELECT kind, count(*) FROM ${of('payments', 'ledger')} GROUP BY kind`
  expect(await pairs(place, 'payments', settled)).toEqual({
    charge: expected.orders,
    refund: expected.cancellations,
  })
  const balance = `SELECT sum(CASE kind WHEN 'refund' THEN -pence ELSE pence END) FROM ${of('payments', 'ledger')}`
  expect(await place.query('payments', balance)).toEqual(
    await place.query('orders', `SELECT sum(pence) FROM ${of('orders', 'orders')}`),
  )
  const { reserved, bought, returned } = expected.stock
  const goods = `SELECT (SELECT sum(pieces - missing) FROM ${of('inventory', 'reserved_lines')}),
    (SELECT sum(bought) FROM ${of('inventory', 'stock')}), (SELECT sum(pieces) FROM ${of('inventory', 'returns')})`
  expect(await place.query('inventory', goods)).toEqual([[reserved, bought, returned]])
  const parcels = `SELECT sum(shipped), sum(shipped * coalesce(pieces, 0)) FROM ${of('delivery', 'parcels')}`
  expect(await place.query('delivery', parcels)).toEqual([Object.values(expected.shipped)])
  expect(await rows(place, 'notifications', 'reminders_called_off')).toBe(expected.calledOff)
  expect(pushService.messages.size).toBe(expected.handled['notifications.push'])
  for (const service of Object.keys(tables)) {
    const outbox = `SELECT count(*) FROM ${place.spillways(service, 'outbox')}`
    expect(await place.query(service, outbox), service).toEqual([[0]])
  }
  expect(office.mails.size).toBe(expected.orders + expected.cancellations)
}
