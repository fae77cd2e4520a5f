import { run, topology } from 'spillway'
import { inventory, inventoryService } from './calls-inventory.ts'
import { orders, ordersService } from './calls-orders.ts'

const owner = await run(topology({ contexts: [inventoryService('./inventory.db')], engine: 'sqlite:./data' }))

const shop = await run(
  topology({
    contexts: [ordersService, inventory],
    engine: 'sqlite:./data',
    addresses: { inventory: [owner.address ?? ''] },
    calls: {
      inventory: { retry: { attempts: 2 }, breaker: { minimumCalls: 20 }, bulkhead: { concurrency: 20 } },
    },
  }),
)
for (const pieces of [2, 4]) {
  await shop.queue(orders.queues.place).send({ product: 'bowl', pieces })
  await shop.drained()
}

const ask = shop.service(ordersService)
const stock = await ask.call(inventory.calls.stockOf, { product: 'bowl' })
console.log(stock.status === 'ok' && stock.value.pieces)

// The same key: the one true answer, and nothing is done twice. The second version of the call, beside the first.
const order = { product: 'bowl', pieces: 1, customer: 'Ada' }
for (const _ of [1, 2]) {
  const bowl = await ask.call(inventory.calls.reserveFor, order, { key: 'order-4711' })
  console.log(bowl.status === 'ok' && bowl.value.reservation)
}

// Nobody there: certain, and at once.
await owner.stop()
const away = await ask.call(inventory.calls.stockOf, { product: 'bowl' })
console.log(away.status, away.status === 'failed' && away.error.code)
const guess = await ask.call(inventory.calls.stockOf, { product: 'bowl' }, { fallback: { pieces: 0 } })
console.log(guess)
console.log(shop.breakers().inventory?.state)
await shop.stop()
