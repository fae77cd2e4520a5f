import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { test } from 'node:test'
import { run, topology } from 'spillway'
import { callSample, conformsTo, fakeContext, memory, testService } from 'spillway/testing'
import { inventory, inventoryService } from './calls-inventory.ts'

const { stockOf, reserve } = inventory.calls
const file = () => `${mkdtempSync('inventory-')}/inventory.db`

test('a call of the service, without a network', async () => {
  await using service = await testService(inventoryService(file()))
  const order = { product: 'bowl', pieces: 2 }
  const then = await service.ask(reserve, order, { key: 'cart-1' })
  assert.deepEqual(then.result, { status: 'ok', value: { reservation: 1 } })
  assert.deepEqual(then.published(inventory.events.reserved), [order])

  const again = await service.ask(reserve, order, { key: 'cart-1' })
  assert.deepEqual([again.result, again.replayed], [then.result, true]) // nothing was done twice

  const { result } = await service.ask(reserve, order)
  assert.ok(result.status === 'failed' && result.reason === 'soldOut' && result.data.left === 1)
})

/** What others rely on: asked of the fake where they are tested, and of the real one where it is. */
const samples = [
  callSample(stockOf, { product: 'bowl' }, { ok: ({ pieces }) => pieces > 0 }),
  callSample(stockOf, { product: 'spoon' }, { failed: 'unknownProduct', data: { product: 'spoon' } }),
  callSample(reserve, { product: 'bowl', pieces: 1 }, { ok: true }),
  callSample(reserve, { product: 'bowl', pieces: 99 }, { failed: 'soldOut' }),
  callSample(reserve, { product: 'bowl', pieces: -1 }, { refused: true }),
]

test('the fake is like the real one', async () => {
  await using fake = await fakeContext(inventory, {
    stockOf: ({ product }, { fail }) =>
      product === 'bowl' ? { pieces: 3 } : fail('unknownProduct', { product }),
    reserve: ({ pieces }, { fail }) => (pieces > 3 ? fail('soldOut', { left: 3 }) : { reservation: 1 }),
  })
  await conformsTo(fake, samples)

  const real = topology({ contexts: [inventoryService(file())], engine: 'sqlite:./data' })
  await using running = await run(real, { engine: memory() })
  await conformsTo(running, samples)
})
