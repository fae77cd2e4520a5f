// The shop reaches the totals that the CSV alone gives: on every engine, twice, as one process and as three, and when killed.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { readInvoices } from '../../examples/shop/driver/invoices.ts'
import { openPostOffice, type PostOffice } from '../../examples/shop/driver/post-office.ts'
import { progressLine } from '../../examples/shop/driver/progress-line.ts'
import { sendInvoices } from '../../examples/shop/driver/send.ts'
import { orders } from '../../examples/shop/orders/contract.ts'
import { open } from '../../src/index.ts'
import { embeddedPostgres, kafka, type RunningServer } from '../servers/index.ts'
import { expectedTotals } from './expected-totals.ts'
import { type Ended, killAll, type Program, startShop, startSpillway } from './shop-process.ts'
import { pairs, query, rows } from './shop-tables.ts'

const sample = fileURLToPath(new URL('../../examples/shop/data/online_retail_sample.csv', import.meta.url))
const expected = expectedTotals(sample)
const minutes = 60_000

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
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const { seconds, ...totals } = JSON.parse(stdout) as Record<string, unknown>
  expect(seconds).toBeGreaterThan(0)
  return totals
}

const once = (...args: string[]) => startShop('--once', '--json', ...args).ended

test('the sample is what its README says', () => {
  expect(expected).toMatchObject({ invoices: 2093, lines: 4792 })
})

test('on SQLite', { timeout: 2 * minutes }, async () => {
  expect(totalsOf(await once())).toEqual(expected)
})

describe('on PostgreSQL', async () => {
  const missing = await embeddedPostgres.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await embeddedPostgres.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once, and again from an empty folder', { timeout: 4 * minutes }, async () => {
    expect(totalsOf(await once('--engine', server!.url))).toEqual(expected)
    expect(totalsOf(await once('--engine', server!.url))).toEqual(expected)
  })
})

describe('with its streams on Kafka', async () => {
  const missing = await kafka.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await kafka.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once, and again from an empty folder', { timeout: 4 * minutes }, async () => {
    expect(totalsOf(await once('--streams', server!.url))).toEqual(expected)
    expect(totalsOf(await once('--streams', server!.url))).toEqual(expected)
  })
})

test('a second run on the same folder changes nothing, and a spoilt view is rebuilt', {
  timeout: 4 * minutes,
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

test('a process for each context, each killed in the middle', { timeout: 5 * minutes }, async () => {
  const office = await openPostOffice()
  const services = new Map<string, Program>()
  const startService = async (name: string) => {
    const service = startSpillway(['up', '--only', name], { SHOP_DATA: folder, SMTP_URL: office.url })
    services.set(name, service)
    await service.wrote('up; stop with Ctrl-C')
  }
  const tables = { orders: 'invoices', payments: 'ledger', notifications: 'receipts' }
  await Promise.all(Object.keys(tables).map(startService))

  const spillway = await open(`sqlite:${join(folder, 'spillway')}`)
  const intake = await spillway.queue(orders.queues.intake)
  const { invoices } = await readInvoices(sample)
  const quarter = Math.ceil(invoices.length / 4)
  let sent = 0
  const sendSome = async () => {
    await sendInvoices(intake, invoices.slice(sent, sent + quarter))
    sent += quarter
  }
  for (const [name, table] of Object.entries(tables)) {
    const before = rows(folder, name, table)
    await sendSome()
    await vi.waitFor(() => expect(rows(folder, name, table)).toBeGreaterThan(before + 20), waiting)
    services.get(name)!.kill('SIGKILL')
    expect((await services.get(name)!.ended).signal).toBe('SIGKILL')
    await startService(name)
  }
  await sendSome()
  const sales = expected.orders + expected.cancellations
  await vi.waitFor(() => {
    expect(rows(folder, 'orders', 'invoices')).toBe(expected.invoices)
    expect(rows(folder, 'orders', 'revenue')).toBe(sales)
    expect(rows(folder, 'notifications', 'receipts')).toBe(sales)
  }, waiting)
  for (const service of services.values()) service.kill('SIGTERM')
  for (const service of services.values()) expect((await service.ended).code).toBe(0)

  for (const queue of Object.keys(expected.handled))
    expect(await spillway.engine.queue!.count(queue)).toMatchObject({
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
    })
  await spillway.close()
  expectTables(office)
  await office.close()
})
const waiting = { timeout: 2 * minutes, interval: 20 }

/** The services' own tables hold exactly what the CSV says, and every receipt was mailed. */
function expectTables(office: PostOffice): void {
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
  for (const service of ['orders', 'payments', 'notifications'])
    expect(rows(folder, service, `spillway_${service}_outbox`)).toBe(0)
  expect(office.mails.size).toBe(expected.orders + expected.cancellations)
}

test('stays up until Ctrl-C, and shows how far it is', { timeout: 2 * minutes }, async () => {
  const shop = startShop()
  await shop.wrote('The shop stays open')
  shop.kill('SIGINT')
  const { code, stdout } = await shop.ended
  expect(code).toBe(0)
  expect(stdout).toMatch(/^invoices: \d+ of 2093 sent, \d+ taken in; receipts mailed: \d+$/m)
  expect(stdout).toMatch(/^2,093 invoices with 4,792 lines in [\d.]+ s$/m)
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'ended by %s in the middle it stops, says so, and keeps what it has',
  { timeout: 2 * minutes },
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
  expect(stdout).toBe('3 contexts, 4 events, 2 queues: sound\n')
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
