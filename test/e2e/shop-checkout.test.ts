// The shop's checkout without the inventory that it asks, which is played by its contract; and that the real inventory behaves like the one that is played.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { checkout } from '../../examples/shop/checkout/contract.ts'
import { checkoutService } from '../../examples/shop/checkout/service.ts'
import { inventory } from '../../examples/shop/inventory/contract.ts'
import { inventoryService } from '../../examples/shop/inventory/service.ts'
import { type Invoice, orders } from '../../examples/shop/orders/contract.ts'
import { run, topology } from '../../examples/shop/spillway.ts'
import { callSample, conformsTo, fakeContext, memory, testService } from '../../src/testing/index.ts'

const patience = { timeout: 20_000, interval: 10 }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkout-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const invoice = (number: string, quantity: string): Invoice => ({
  number,
  rows: [
    {
      stockCode: '85123',
      description: 'Cup',
      quantity,
      unitPrice: '1.25',
      date: '2011-01-01 10:00:00',
      customer: '17850.0',
      country: 'Malta',
    },
  ],
})

/** A shop that opens: 48 of each product lie on the shelf. */
const played = () =>
  fakeContext(inventory, {
    shortage: ({ lines }) => ({
      pieces: lines.reduce((sum, { pieces }) => sum + Math.max(0, pieces - 48), 0),
    }),
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

const { shortage } = inventory.calls
const samples = [
  callSample(shortage, { lines: [] }, { ok: { pieces: 0 } }),
  callSample(shortage, { lines: [{ product: '85123', pieces: 48 }] }, { ok: { pieces: 0 } }),
  callSample(
    shortage,
    {
      lines: [
        { product: '85123', pieces: 50 },
        { product: '71053', pieces: 49 },
      ],
    },
    { ok: { pieces: 3 } },
  ),
  callSample(shortage, { lines: [{ product: '85123', pieces: -1 }] }, { refused: true }),
  callSample(shortage, { lines: 'none' }, { refused: true }),
]

test('the inventory behaves like the one that is played', async () => {
  await using fake = await played()
  await conformsTo(fake, samples)
  await using running = await run(topology({ contexts: [inventoryService(folder)], engine: 'memory:' }), {
    engine: memory(),
  })
  await conformsTo(running, samples)
})
