import { context, event, run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

const orders = context('orders', {
  events: {
    placed: event({
      data: z.object({ customer: z.string(), total: z.number() }),
      key: (order) => order.customer,
    }),
  },
})
const billing = context('billing', {})

let known = false
const shop = service(orders)
const bills = service(billing, { database: sqliteDatabase('./billing.db') }).on(
  orders.events.placed,
  async ({ data }, { commit }) => {
    if (data.customer === 'ada' && !known) throw new Error('ada has no address')
    await commit(() => console.log('billed', data.customer, data.total))
  },
  { onFailure: 'park', retry: { attempts: 2, initial: '10ms' } },
)

const running = await run(topology({ contexts: [shop, bills], engine: 'sqlite:./data' }))
await running.service(shop).transaction((tx) => {
  for (const total of [10, 20]) tx.publish(orders.events.placed, { customer: 'ada', total })
  tx.publish(orders.events.placed, { customer: 'bob', total: 30 })
})

// Bob is billed. Both of Ada's orders wait, in their order, where the position of the group stands.
const group = running.service(bills).group(orders)
while ((await group.parked()).length < 2) await new Promise((resolve) => setTimeout(resolve, 50))
for (const { key, reason } of await group.parked()) console.log('parked', key, reason)

known = true
await group.unpark('ada')
while ((await group.parked()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50))
await running.stop()
