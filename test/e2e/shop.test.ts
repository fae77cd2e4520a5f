// The shop reaches the totals that the CSV alone gives: on every engine, on one server twice, as one process and as many, and when killed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { keepBooks } from '../../examples/shop/accounting/bookkeeper.ts'
import { accounting } from '../../examples/shop/accounting/contract.ts'
import { noteAddress } from '../../examples/shop/delivery/tables.ts'
import { bookCorrections } from '../../examples/shop/driver/clerks.ts'
import { readInvoices } from '../../examples/shop/driver/invoices.ts'
import { openPostOffice, type PostOffice } from '../../examples/shop/driver/post-office.ts'
import { progressLine } from '../../examples/shop/driver/progress-line.ts'
import { openPushService, type PushService } from '../../examples/shop/driver/push-service.ts'
import { sendInvoices } from '../../examples/shop/driver/send.ts'
import { tills } from '../../examples/shop/driver/till.ts'
import { webShop } from '../../examples/shop/driver/web-shop.ts'
import { correctedPieces, openCorrections } from '../../examples/shop/inventory/corrections.ts'
import { notifications } from '../../examples/shop/notifications/contract.ts'
import { orders } from '../../examples/shop/orders/contract.ts'
import { context, open, run, type Spillway, service, topology, unchecked } from '../../src/index.ts'
import { freePort } from '../servers/free-port.ts'
import { embeddedPostgres, kafka, nats, type RunningServer } from '../servers/index.ts'
import { expectedTotals } from './expected-totals.ts'
import { type Ended, killAll, type Program, startShop, startSpillway } from './shop-process.ts'
import { pairs, query, rows } from './shop-tables.ts'

const sample = fileURLToPath(new URL('../../examples/shop/data/online_retail_sample.csv', import.meta.url))
const expected = expectedTotals(sample)
const minutes = 60_000

/** The beginning of the sample: what holds for all of it on SQLite and on PostgreSQL is shown on other servers with less. */
const part = join(mkdtempSync(join(tmpdir(), 'shop-part-')), 'part.csv')
writeFileSync(part, `${readFileSync(sample, 'utf8').split('\n').slice(0, 1_500).join('\n')}\n`)
const expectedOfPart = expectedTotals(part)
afterAll(() => rmSync(join(part, '..'), { recursive: true }))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shop-test-'))
})
afterEach(() => {
  killAll()
  rmSync(folder, { recursive: true, force: true })
})

/** The one JSON object that a run printed, without its duration. */
function totalsOf({ code, stdout, stderr }: Ended): unknown {
  expect(stderr.replace(withoutCountry, '')).toBe('')
  expect(code).toBe(0)
  const { seconds, ...totals } = JSON.parse(stdout) as Record<string, unknown>
  expect(seconds).toBeGreaterThan(0)
  return totals
}

/** The one order of the sample that is parked until somebody asks where it is to go. */
const withoutCountry =
  /^the group delivery on inventory: .* invoice 564051 has no country to deliver to\. .*\n/m

const once = (...args: string[]) => startShop('--once', '--json', ...args).ended

test('the sample is what its README says', () => {
  expect(expected).toMatchObject({ invoices: 2093, lines: 4792 })
})

test('on SQLite', { timeout: 5 * minutes }, async () => {
  expect(totalsOf(await once())).toEqual(expected)
})

describe('on PostgreSQL', async () => {
  const missing = await embeddedPostgres.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await embeddedPostgres.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once, and again from an empty folder', { timeout: 10 * minutes }, async () => {
    expect(totalsOf(await once('--engine', server!.url))).toEqual(expected)
    expect(totalsOf(await once('--engine', server!.url))).toEqual(expected)
  })
})

const streamServers = [
  { name: 'Kafka', launcher: kafka },
  { name: 'NATS', launcher: nats },
] as const

describe.each(streamServers)('with its streams on $name', async ({ launcher }) => {
  const missing = await launcher.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await launcher.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once', { timeout: 5 * minutes }, async () => {
    expect(totalsOf(await once('--streams', server!.url, '--file', part))).toEqual(expectedOfPart)
  })
})

test('a second run on the same folder changes nothing, and a spoilt view is rebuilt', {
  timeout: 10 * minutes,
}, async () => {
  const rebuilt = 'The view of the revenue was rebuilt from 1475 events:'
  expect(totalsOf(await once('--data', folder))).toEqual(expected)

  const sound = await once('--data', folder, '--rebuild')
  expect(sound.stderr).toBe(`${rebuilt} equal.\n`)
  expect(totalsOf({ ...sound, stderr: '' })).toEqual(expected)

  const db = new DatabaseSync(join(folder, 'orders.sqlite'))
  db.exec("DELETE FROM revenue WHERE country = 'France'; UPDATE revenue SET pence = 1 WHERE country = 'EIRE'")
  db.close()
  const spoilt = await once('--data', folder, '--rebuild')
  expect(spoilt.stderr).toBe(`${rebuilt} NOT equal.\n`)
  expect(spoilt.code).toBe(1)
  expect(totalsOf({ ...spoilt, stderr: '', code: 0 })).toEqual(expected)
})

test('a process for each context, each killed in the middle', { timeout: 12 * minutes }, async () => {
  const [office, pushService] = [await openPostOffice(), await openPushService()]
  const services = new Map<string, Program>()
  const asked = { checkout: await listenAt(), inventory: await listenAt(), delivery: await listenAt() }
  const addresses = Object.fromEntries(Object.entries(asked).map(([name, at]) => [name, [at]]))
  const env = {
    SHOP_DATA: folder,
    SMTP_URL: office.url,
    PUSH_URL: pushService.url,
    SHOP_ADDRESSES: JSON.stringify(addresses),
  }
  const startService = async (name: string) => {
    const listen = name in asked ? ['--listen', asked[name as keyof typeof asked]] : []
    const service = startSpillway(['up', '--only', name, ...listen], env)
    services.set(name, service)
    await service.wrote('up; stop with Ctrl-C')
  }
  const tables = {
    checkout: 'promises',
    pictures: 'thumbnails',
    orders: 'invoices',
    payments: 'ledger',
    inventory: 'reservations',
    delivery: 'parcels',
    notifications: 'receipts',
  }
  await Promise.all(Object.keys(tables).map(startService))

  const spillway = await open(`sqlite:${join(folder, 'spillway')}`)
  const intake = await spillway.queue(orders.queues.intake)
  // The web shop is a program of its own that nobody kills: it has a service only to ask in its name.
  const web = service(context('web', {}))
  const browsing = await run(topology({ contexts: [web], engine: spillway.engine.url, addresses }), {
    engine: spillway.engine,
  })
  const asking = browsing.service(web)
  const counter = tills(asking, intake)
  const doors = { till: counter.handIn, web: webShop(asking) }
  const { invoices } = await readInvoices(sample)
  const share = Math.ceil(invoices.length / (services.size + 1))
  let sent = 0
  const sendSome = async () => {
    const from = sent
    sent += share
    await sendInvoices(doors, invoices.slice(from, sent))
  }
  for (const [name, table] of Object.entries(tables)) {
    const before = rows(folder, name, table)
    const sending = sendSome()
    await vi.waitFor(() => expect(rows(folder, name, table)).toBeGreaterThan(before + 5), waiting)
    services.get(name)!.kill('SIGKILL')
    expect((await services.get(name)!.ended).signal).toBe('SIGKILL')
    await startService(name)
    await sending
  }
  await sendSome()
  await bookCorrections(spillway, invoices)
  await byHand(spillway, pushService)
  const books = await keepBooks(await spillway.queue(accounting.queues.entries), folder)
  expect(books).toEqual(expected.books)
  for (const service of services.values()) service.kill('SIGTERM')
  for (const service of services.values()) expect((await service.ended).code).toBe(0)

  for (const queue of await spillway.engine.queue!.names())
    expect(await spillway.engine.queue!.count(queue)).toMatchObject({
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
    })
  const { found, lost } = expected.stock
  expect(await correctedPieces(await openCorrections(spillway))).toEqual({ found, lost })
  await browsing.stop()
  await spillway.close()
  expectTables(office, pushService)
  await Promise.all([office.close(), pushService.close()])
})

const listenAt = async () => `http://127.0.0.1:${await freePort()}`

/** What the operator does in `npm start`, here from outside all processes; ends when everything is handled. */
async function byHand(spillway: Spillway, pushService: PushService): Promise<void> {
  const sales = expected.orders + expected.cancellations
  await vi.waitFor(() => {
    expect(rows(folder, 'orders', 'invoices')).toBe(expected.invoices)
    expect(rows(folder, 'orders', 'revenue')).toBe(sales)
    expect(rows(folder, 'notifications', 'receipts')).toBe(sales)
    expect(rows(folder, 'pictures', 'thumbnails')).toBe(expected.handled['pictures.thumbnail'])
    expect(rows(folder, 'delivery', 'spillway_delivery_parked')).toBe(1)
  }, waiting)
  const delivery = new DatabaseSync(join(folder, 'delivery.sqlite'), { timeout: 5_000 })
  noteAddress(delivery, '564051', 'United Kingdom')
  delivery.close()
  await (await spillway.stream('inventory', { data: unchecked() })).group('delivery').unpark()
  pushService.register()
  const pushes = await spillway.queue(notifications.queues.push)
  await vi.waitFor(async () => {
    await pushes.redriveAll({ reason: /^403 / })
    expect(rows(folder, 'notifications', 'pushes')).toBe(expected.handled['notifications.push'])
    expect(query(folder, 'delivery', 'SELECT sum(shipped) FROM parcels')).toEqual([
      [expected.shipped.parcels],
    ])
    expect(await pushes.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 0 })
  }, waiting)
}
const waiting = { timeout: 2 * minutes, interval: 20 }

/** The services' own tables hold exactly what the CSV says, and every receipt was mailed. */
function expectTables(office: PostOffice, pushService: PushService): void {
  const kinds = pairs(folder, 'orders', 'SELECT kind, count(*) FROM orders GROUP BY kind')
  expect(kinds).toEqual({ order: expected.orders, cancellation: expected.cancellations })
  const reasons = pairs(folder, 'orders', 'SELECT reason, count(*) FROM rejected_rows GROUP BY reason')
  expect(reasons).toEqual(expected.rejectedLines)
  const revenue = pairs(folder, 'orders', 'SELECT country, sum(pence) FROM revenue GROUP BY country')
  for (const country of Object.keys(revenue)) revenue[country]! /= 100
  expect(revenue).toEqual(expected.revenueByCountry)
  const settled = pairs(folder, 'payments', 'SELECT kind, count(*) FROM ledger GROUP BY kind')
  expect(settled).toEqual({ charge: expected.orders, refund: expected.cancellations })
  const balance = query(
    folder,
    'payments',
    "SELECT sum(CASE kind WHEN 'refund' THEN -pence ELSE pence END) FROM ledger",
  )
  expect(balance).toEqual(query(folder, 'orders', 'SELECT sum(pence) FROM orders'))
  const { reserved, bought, returned } = expected.stock
  const goods = `SELECT (SELECT sum(pieces - missing) FROM reserved_lines), (SELECT sum(bought) FROM stock),
    (SELECT sum(pieces) FROM returns)`
  expect(query(folder, 'inventory', goods)).toEqual([[reserved, bought, returned]])
  const parcels = 'SELECT sum(shipped), sum(shipped * coalesce(pieces, 0)) FROM parcels'
  expect(query(folder, 'delivery', parcels)).toEqual([Object.values(expected.shipped)])
  expect(rows(folder, 'notifications', 'reminders_called_off')).toBe(expected.calledOff)
  expect(pushService.messages.size).toBe(expected.handled['notifications.push'])
  for (const service of [
    'checkout',
    'orders',
    'payments',
    'inventory',
    'delivery',
    'notifications',
    'pictures',
  ])
    expect(rows(folder, service, `spillway_${service}_outbox`)).toBe(0)
  expect(office.mails.size).toBe(expected.orders + expected.cancellations)
}

test('stays up until Ctrl-C, and shows how far it is', { timeout: 5 * minutes }, async () => {
  const shop = startShop()
  await shop.wrote('The shop stays open')
  shop.kill('SIGINT')
  const { code, stdout } = await shop.ended
  expect(code).toBe(0)
  expect(stdout).toMatch(/^invoices: \d+ of 2093 sent, \d+ taken in; receipts mailed: \d+; parcels: \d+$/m)
  expect(stdout).toMatch(/^2,093 invoices with 4,792 lines in [\d.]+ s$/m)
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'ended by %s in the middle it stops, says so, and keeps what it has',
  { timeout: 5 * minutes },
  async (signal) => {
    const shop = startShop('--once', '--data', folder)
    await shop.wrote('sent,')
    shop.kill(signal)
    expect(await shop.ended).toMatchObject({ code: 1, stderr: 'Stopped before everything was handled.\n' })
    expect(totalsOf(await once('--data', folder))).toEqual(expected)
  },
)

test('stops when nobody reads what it prints', { timeout: minutes }, async () => {
  const shop = startShop('--once', '--data', folder)
  await shop.wrote('sent,')
  shop.deafen()
  expect(await shop.ended).toMatchObject({ code: 1, stderr: 'Stopped before everything was handled.\n' })
})

test('on a narrow terminal the progress stays on its line', () => {
  const written: string[] = []
  const out = { isTTY: true, columns: 20, write: (text: string) => written.push(text) }
  progressLine(out as never).show('invoices: 500 of 2093 sent, 0 taken in')
  expect(written).toEqual(['\r\x1b[2Kinvoices: 500 of 20'])
})

test('spillway check finds the topology sound, and ends', { timeout: minutes }, async () => {
  const { code, stdout } = await startSpillway(['check']).ended
  expect(stdout).toBe('8 contexts, 6 events, 9 queues, 4 calls: sound\n')
  expect(code).toBe(0)
})

test('says what is wrong with its options', { timeout: minutes }, async () => {
  for (const [args, complaint] of [
    [['--onec'], /Unknown option '--onec'/],
    [['--file', join(folder, 'nowhere.csv')], /no such file/],
    [['--engine', 'nowhere'], /names no engine/],
  ] as const) {
    const { code, stdout, stderr } = await startShop(...args).ended
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(complaint)
    expect(stderr).not.toMatch(/^ {4}at /m)
  }
})
