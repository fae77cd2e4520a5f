// The shop's door to the web, with a checkout that is played: who orders too much is put off, and every order is handed in once.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkout } from '../../examples/shop/checkout/contract.ts'
import { openDoor } from '../../examples/shop/door/door.ts'
import { accountsOf, webCustomers } from '../../examples/shop/driver/web-customers.ts'
import { notAsHandedIn } from '../../examples/shop/orders/as-handed-in.ts'
import { assess } from '../../examples/shop/orders/assess.ts'
import type { Invoice } from '../../examples/shop/orders/contract.ts'
import { createTables, storeOrder, storeRejected, takeIn } from '../../examples/shop/orders/tables.ts'
import { context, open, run, service, topology } from '../../examples/shop/spillway.ts'
import { fakeContext, memory } from '../../src/testing/index.ts'
import { invoice } from './shop-invoice.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shop-door-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('what is over the limit is put off, done later, and handed in once', {
  timeout: 60_000,
}, async () => {
  await using played = await fakeContext(checkout, { handIn: () => ({ promise: 'at once' as const }) })
  const web = service(context('web', {}))
  await using running = await run(
    topology({ contexts: [web], engine: 'memory:', addresses: { checkout: [played.address] } }),
    { engine: memory() },
  )
  const orders = ['1', '2', '3'].map((number) => invoice(`10000${number}`, '2'))
  const guests = ['4', '5'].map((number) => invoice(`10000${number}`, '2', '0.0'))
  await using door = await openDoor({
    folder,
    spillway: await open(running.engines[0]!),
    asking: running.service(web),
    accounts: accountsOf(orders),
    rules: {
      customer: {
        capacity: 1,
        refill: 1,
        per: '2s',
        by: 'customer',
        missing: 'skip',
        over: 'defer',
        on: 'POST /orders',
      },
      address: { atMost: 1_000, per: 'second', by: 'address' },
    },
  })
  const customers = webCustomers(door.url, new AbortController().signal)
  await Promise.all([...orders, ...guests].map((order) => customers.handIn(order, `key-${order.number}`)))
  const { atOnce, later } = await customers.done()
  expect(atOnce + later).toBe(5)
  expect(later).toBeGreaterThan(0)
  const numbers = played.asked.map(({ input }) => (input as Invoice).number)
  expect([...new Set(numbers)].toSorted()).toEqual([...orders, ...guests].map(({ number }) => number))
  // Asked once more with its key it is told of, and taken once.
  await customers.handIn(orders[2]!, 'key-100003')
  await customers.done()
  expect(new Set(played.asked.map(({ key }) => key)).size).toBe(5)

  const statuses = await Promise.all(
    [
      { method: 'POST', body: JSON.stringify(guests[0]) },
      { method: 'POST', body: '{', headers: { 'idempotency-key': 'a' } },
      { method: 'POST', body: '{}', headers: { 'idempotency-key': 'b' } },
      { method: 'GET' },
    ].map(async (init) => (await fetch(`${door.url}/orders`, init)).status),
  )
  expect(statuses).toEqual([400, 400, 422, 404])
})

test('an order that is not in the books, or not as it was handed in, is named', () => {
  const db = new DatabaseSync(':memory:')
  createTables(db)
  const sold = invoice('100001', '2')
  const refused = invoice('100002', '-2')
  const store = (handedIn: Invoice) => {
    const { kind, order, rejected } = assess(handedIn)
    takeIn(db, handedIn)
    storeRejected(db, handedIn.number, rejected)
    if (order) storeOrder(db, kind, order)
  }
  store(sold)
  expect(notAsHandedIn(db, [sold, refused])).toEqual(['100002'])
  store(refused)
  expect(notAsHandedIn(db, [sold, refused])).toEqual([])
  expect(notAsHandedIn(db, [invoice('100001', '3'), refused])).toEqual(['100001'])
  db.exec('DELETE FROM order_lines')
  expect(notAsHandedIn(db, [sold])).toEqual(['100001'])
  db.close()
})
