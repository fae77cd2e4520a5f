import { context, event, run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

export const orders = context('orders', {
  events: { placed: event({ data: z.object({ orderId: z.string() }), key: (order) => order.orderId }) },
})
const mail = context('mail', {})

const ordersService = service(orders, {
  database: sqliteDatabase('./data/orders.db', {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS "order" (id TEXT PRIMARY KEY)'),
  }),
})
const mailService = service(mail).on(orders.events.placed, ({ data }) =>
  console.log(`mail for ${data.orderId}`),
)

await using running = await run(topology({ contexts: [ordersService, mailService], engine: 'sqlite:./data' }))

async function place(orderId: string, card: 'good' | 'declined') {
  await running.service(ordersService).transaction((tx) => {
    tx.db.prepare('INSERT INTO "order" VALUES (?)').run(orderId)
    tx.publish(orders.events.placed, { orderId })
    if (card === 'declined') throw new Error(`${orderId}: the card was declined`)
  })
}

await place('4711', 'good')
await place('4712', 'declined').catch((error) => console.log(error.message))
await running.drained()
