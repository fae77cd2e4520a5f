import { context, event, queue, run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

// What each context is to others: the events it publishes, the queues it works off.
const orders = context('orders', {
  events: {
    placed: event({ data: z.object({ orderId: z.string(), cents: z.int() }), key: (order) => order.orderId }),
  },
})
const billing = context('billing', {
  queues: { receipt: queue({ data: z.object({ orderId: z.string() }) }) },
})

// Billing reacts to orders. Orders does not know that billing exists.
const printed = Promise.withResolvers<void>()
const billingService = service(billing, {
  database: sqliteDatabase('./data/billing.db', {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS charge (order_id TEXT, cents INTEGER)'),
  }),
})
  .on(orders.events.placed, async (order, { commit }) => {
    // Outside I/O comes first; then one short transaction takes the effect, the message, and the mark that it was done.
    await commit((tx) => {
      tx.db.prepare('INSERT INTO charge VALUES (?, ?)').run(order.data.orderId, order.data.cents)
      tx.send(billing.queues.receipt, { orderId: order.data.orderId })
    })
  })
  .work(billing.queues.receipt, async (receipt) => {
    console.log(`receipt for order ${receipt.data.orderId}`)
    printed.resolve()
  })

const ordersService = service(orders, { database: sqliteDatabase('./data/orders.db') })

const shop = topology({ contexts: [ordersService, billingService], engine: 'sqlite:./data' })

await using running = await run(shop)
await running.service(ordersService).transaction((tx) => {
  tx.publish(orders.events.placed, { orderId: '4711', cents: 1999 })
})
await printed.promise
