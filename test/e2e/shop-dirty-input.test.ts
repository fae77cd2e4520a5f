// Input as it really comes: broken rows are refused with a reason and counted, the sound ones beside them are sold.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { killAll, startShop, startShopWithout } from './shop-process.ts'

const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country'
const date = '2011-01-01 10:00:00'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shop-dirty-'))
})
afterEach(() => {
  killAll()
  rmSync(folder, { recursive: true })
})

async function totalsOf(text: string): Promise<Record<string, unknown>> {
  const file = join(folder, 'input.csv')
  writeFileSync(file, text)
  const { code, stdout, stderr } = await startShop('--once', '--json', '--file', file).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

test('every kind of broken row', { timeout: 60_000 }, async () => {
  const sold = [
    `100001,A1,"Cup, blue",2,${date},1.25,17850.0,France`, // 2.50
    `100001,20001B,Plate,60,${date},0.7501,17850,France`, // 45.01, rounded up
    `100002,A3,Tray,3,${date},0.005,,France`, // a guest; 0.015, so 0.02
    `100003,A4,12" ruler,1,${date},2,0.0,Germany`, // 2.00
    `C100004,A1,"Cup, blue",-1,${date},1.25,17850.0,France`, // -1.25
  ]
  const incomplete = [
    '100001,A5,Spoon,4',
    `,A5,Spoon,4,${date},1.00,17850.0,France`,
    `100005,,Spoon,4,${date},1.00,17850.0,France`,
    `100005,A5,Spoon,4,${date},1.00,17850.0,`,
    `100005,A5,Spoon, silver,4,${date},1.00,17850.0,France`, // a comma too many: a row that cannot be taken apart
    '100005',
  ]
  const unreadable = [
    `100006,A6,Knife,two,${date},1.00,17850.0,France`,
    `100006,A6,Knife,1.5,${date},1.00,17850.0,France`,
    `100006,A6,Knife,99999999999999999999,${date},1.00,17850.0,France`,
    `100006,A6,Knife,1,${date},"1,50",17850.0,France`,
    `100006,A6,Knife,1,${date},1e3,17850.0,France`,
    `100006,A6,Knife,1,yesterday,1.00,17850.0,France`,
    `100006,A6,Knife,1,2011-13-45 10:00:00,1.00,17850.0,France`,
    `100006,A6,Knife,1,${date},1.00,Bob,France`,
    `Invoice ü,A6,Knife,1,${date},1.00,17850.0,France`,
  ]
  const quantity = [
    `100007,A7,wet boxes,-10,${date},1.00,0.0,France`,
    `100007,A7,Fork,0,${date},1.00,0.0,France`,
    `C100004,A7,Fork,1,${date},1.00,17850.0,France`,
  ]
  const noPrice = [`100008,A8,found,10,${date},0.0,0.0,France`, `100008,A8,found,10,${date},-1.00,0.0,France`]
  const adjustment = [`A100009,B,Adjust bad debt,1,${date},-11062.06,,France`]
  const rows = [...incomplete, ...unreadable, ...quantity, ...noPrice, ...adjustment, ...sold, '']

  const { seconds, ...totals } = await totalsOf(`\uFEFF${[header, ...rows, '', ''].join('\r\n')}`)
  expect(seconds).toBeGreaterThan(0)
  expect(totals).toEqual({
    invoices: 10,
    orders: 3,
    cancellations: 1,
    lines: 26,
    rejectedLines: { incomplete: 6, unreadable: 9, quantity: 3, 'no-price': 2, adjustment: 1 },
    revenueByCountry: { France: 46.28, Germany: 2 },
    // Of what was sold only the plate is goods by its code, 60 pieces of it: the shelf has 48.
    stock: { reserved: 60, bought: 12, returned: 0, found: 10, lost: 0 },
    shipped: { parcels: 1, pieces: 60 },
    calledOff: 0,
    events: {
      'orders.placed': 3,
      'orders.cancelled': 1,
      'payments.charged': 3,
      'payments.refunded': 1,
      'inventory.reserved': 3,
      'delivery.orderShipped': 1,
    },
    // The rows without a number came as one invoice more. Customer 17850 has the app.
    handled: {
      'orders.intake': 11,
      'notifications.receipt': 4,
      'notifications.push': 1,
      'pictures.thumbnail': 1,
    },
    deadLetters: 0,
    books: { entries: 4, balance: 4828 },
  })
})

test('a quote that is never closed', { timeout: 60_000 }, async () => {
  const totals = await totalsOf(
    `${header}\n100001,A1,Cup,2,${date},1.25,17850.0,France\n100002,A2,"Plate,1,${date},1.25,17850.0,France\n`,
  )
  expect(totals).toMatchObject({ orders: 1, lines: 2, rejectedLines: { incomplete: 1 } })
})

test('a file that lacks a column sells nothing', { timeout: 60_000 }, async () => {
  const totals = await totalsOf(`InvoiceNo,StockCode,Quantity\n100001,A1,2\n100002,A2,1\n`)
  expect(totals).toMatchObject({ invoices: 2, orders: 0, lines: 2, rejectedLines: { incomplete: 2 } })
})

test('an empty file', { timeout: 60_000 }, async () => {
  expect(await totalsOf('')).toMatchObject({
    invoices: 0,
    lines: 0,
    orders: 0,
    rejectedLines: {},
    deadLetters: 0,
  })
})

test('where sharp is not there, pictures are dead letters, and all else is done', {
  timeout: 60_000,
}, async () => {
  const file = join(folder, 'input.csv')
  writeFileSync(file, `${header}\n100001,10001A,Cup,2,${date},1.25,17850.0,France\n`)
  const { code, stdout } = await startShopWithout('sharp', '--once', '--json', '--file', file).ended
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    handled: { 'notifications.receipt': 1, 'notifications.push': 1, 'pictures.thumbnail': 0 },
    shipped: { parcels: 1, pieces: 2 },
    deadLetters: 1,
  })
})
