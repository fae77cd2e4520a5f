import { context, deadLetter, event, queue, service } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

export const orders = context('orders', {
  events: {
    placed: event({ data: z.object({ orderId: z.string(), cents: z.int() }), key: (order) => order.orderId }),
  },
})
export const billing = context('billing', {
  events: { charged: event({ data: z.object({ orderId: z.string() }), key: (charge) => charge.orderId }) },
  queues: { remind: queue({ data: z.object({ orderId: z.string() }), retry: { attempts: 3 } }) },
})

export function billingService(file: string) {
  const database = sqliteDatabase(file, {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS charge (order_id TEXT PRIMARY KEY, cents INTEGER)'),
  })
  return service(billing, { database })
    .on(orders.events.placed, async ({ data: { orderId, cents } }, { send, commit }) => {
      if (cents < 0) return deadLetter('a negative price')
      send(billing.queues.remind, { orderId }, { delay: '30m' })
      await commit((tx) => {
        tx.db.prepare('INSERT INTO charge VALUES (?, ?)').run(orderId, cents)
        tx.publish(billing.events.charged, { orderId })
      })
    })
    .work(billing.queues.remind, ({ data: { orderId } }) => {
      if (orderId === '13') throw new Error('no such customer')
    })
}
