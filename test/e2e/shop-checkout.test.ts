// The shop's checkout without the inventory that it asks, which is played by its contract; and that the real inventory behaves like the one that is played.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { checkout } from '../../examples/shop/checkout/contract.ts'
import { checkoutService } from '../../examples/shop/checkout/service.ts'
import { tills } from '../../examples/shop/driver/till.ts'
import { inventory } from '../../examples/shop/inventory/contract.ts'
import { inventoryService } from '../../examples/shop/inventory/service.ts'
import { orders } from '../../examples/shop/orders/contract.ts'
import { run, topology } from '../../examples/shop/spillway.ts'
import { callSample, conformsTo, fakeContext, memory, testService } from '../../src/testing/index.ts'
import { invoice } from './shop-invoice.ts'

const patience = { timeout: 20_000, interval: 10 }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkout-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

type Lines = readonly { readonly product: string; readonly pieces: number }[]

const missingOf = (lines: Lines) =>
  lines.filter(({ pieces }) => pieces > 48).map(({ product, pieces }) => ({ product, pieces: pieces - 48 }))

/** A shop that opens: 48 of each product lie on the shelf. */
const played = () =>
  fakeContext(inventory, {
    shortage: ({ lines }) => ({ missing: missingOf(lines) }),
    shortageV1: ({ lines }) => ({ pieces: missingOf(lines).reduce((sum, { pieces }) => sum + pieces, 0) }),
  })

test('an order is taken with what the inventory says, and without it when that is slow or down', async () => {
  await using fake = await played()
  await using service = await testService(checkoutService(folder), {
    addresses: { inventory: [fake.address] },
  })
  const handIn = (number: number, quantity = '50') =>
    service.ask(checkout.calls.handIn, invoice(String(number), quantity), { key: `web-${number}` })
  let number = 0
  // The checkout waits for half a second: on a machine that is busy an order may be taken without a promise. Then the next one is looked at.
  const promised = (promise: string, quantity?: string) =>
    vi.waitFor(async () => {
      number += 1
      const then = await handIn(number, quantity)
      expect(then.sent(orders.queues.intake)).toMatchObject([{ number: String(number) }])
      expect(then.result).toEqual({ status: 'ok', value: { promise } })
    }, patience)
  await promised('when it has come in')
  // What cannot be read is for the orders to refuse: of it nothing is asked.
  await promised('at once', 'two')
  const asked = fake.asked.map(({ input }) => input)
  expect(asked).toContainEqual({ lines: [{ product: '85123', pieces: 50 }] })
  expect(asked).toContainEqual({ lines: [] })
  fake.slow('3s')
  await promised('none')
  await fake.down()
  await promised('none')
  const taken = number
  await fake.up()
  await promised('when it has come in')
  // Handed in again, it is taken once, whatever the inventory says now.
  expect(await handIn(taken)).toMatchObject({
    replayed: true,
    result: { status: 'ok', value: { promise: 'none' } },
  })
})

const { shortage, shortageV1 } = inventory.calls
const tooMuch = {
  lines: [
    { product: '85123', pieces: 50 },
    { product: '71053', pieces: 49 },
  ],
}
const samples = [
  callSample(shortage, { lines: [] }, { ok: { missing: [] } }),
  callSample(shortage, { lines: [{ product: '85123', pieces: 48 }] }, { ok: { missing: [] } }),
  callSample(shortage, tooMuch, {
    ok: {
      missing: [
        { product: '85123', pieces: 2 },
        { product: '71053', pieces: 1 },
      ],
    },
  }),
  callSample(shortage, { lines: [{ product: '85123', pieces: -1 }] }, { refused: true }),
  callSample(shortage, { lines: 'none' }, { refused: true }),
  callSample(shortageV1, { lines: [] }, { ok: { pieces: 0 } }),
  callSample(shortageV1, tooMuch, { ok: { pieces: 3 } }),
  callSample(shortageV1, { lines: 'none' }, { refused: true }),
]

test('the inventory behaves like the one that is played', async () => {
  await using fake = await played()
  await conformsTo(fake, samples)
  await using running = await run(topology({ contexts: [inventoryService(folder)], engine: 'memory:' }), {
    engine: memory(),
  })
  await conformsTo(running, samples)
})

test('one product in two lines lies on one shelf, for both versions', async () => {
  await using service = await testService(inventoryService(folder))
  const lines = [30, 30].map((pieces) => ({ product: '85123', pieces }))
  expect((await service.ask(shortage, { lines })).result).toEqual({
    status: 'ok',
    value: { missing: [{ product: '85123', pieces: 12 }] },
  })
  expect((await service.ask(shortageV1, { lines })).result).toEqual({ status: 'ok', value: { pieces: 12 } })
})

/** The shop's checkout and its tills; where the inventory is asked is the test's to say. */
async function selling(addresses: Readonly<Record<string, readonly string[]>>) {
  const checkouts = checkoutService(folder)
  const running = await run(topology({ contexts: [checkouts, orders], engine: 'memory:', addresses }), {
    engine: memory(),
  })
  const asking = running.service(checkouts)
  const { told, handIn } = tills(asking, running.queue(orders.queues.intake))
  return {
    running,
    told,
    atTheTill: (number: string, quantity: string) => handIn(invoice(number, quantity), `till-${number}`),
    onTheWeb: (number: string, quantity: string) =>
      asking.call(checkout.calls.handIn, invoice(number, quantity), { key: `web-${number}` }),
    awaited: () => asking.database!.db.prepare('SELECT product, pieces FROM awaited').all(),
    taken: async () => (await running.queue(orders.queues.intake).count()).ready,
  }
}

test('two versions at one inventory: the checkout asks the second, tills of before still ask the first', async () => {
  await using inventories = await run(topology({ contexts: [inventoryService(folder)], engine: 'memory:' }), {
    engine: memory(),
  })
  const { running, told, atTheTill, onTheWeb, awaited } = await selling({
    inventory: [inventories.address ?? ''],
  })
  await using _ = running
  let number = 0
  // On a machine that is busy half a second may be too short, and then nobody is told anything.
  await vi.waitFor(async () => {
    number += 1
    await atTheTill(`t${number}`, '50')
    await atTheTill(`s${number}`, '48')
    expect(await onTheWeb(`w${number}`, '50')).toEqual({
      status: 'ok',
      value: { promise: 'when it has come in' },
    })
    expect(told).toEqual({ there: expect.any(Number), toComeIn: expect.any(Number) })
    expect(Math.min(told.there, told.toComeIn)).toBeGreaterThan(0)
  }, patience)
  // What only the second version says.
  expect(awaited().map((row) => ({ ...row }))).toContainEqual({ product: '85123', pieces: 2 })
})

test('each asks its own version by the same name; when the first is gone too early, a till sells all the same', async () => {
  await using fake = await played()
  await using next = await fakeContext(inventory, {
    shortage: ({ lines }) => ({ missing: missingOf(lines) }),
  })
  const before = await selling({ inventory: [fake.address] })
  await using _ = before.running
  await vi.waitFor(async () => {
    await before.atTheTill('1', '50')
    await before.onTheWeb('2', '50')
    expect(new Set(fake.asked.map(({ type, version }) => `${type} ${version}`))).toEqual(
      new Set(['inventory.shortage 1', 'inventory.shortage 2']),
    )
  }, patience)
  await before.running.stop()

  const after = await selling({ inventory: [next.address] })
  await using __ = after.running
  await after.atTheTill('3', '50')
  expect(after.told).toEqual({ there: 0, toComeIn: 0 })
  expect(await after.taken()).toBe(1)
})
