import { run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { fulfilments, orders, payments, process, stock } from './saga-contexts.ts'

const shop = service(orders, { database: sqliteDatabase('./orders.db') })
const stores = service(stock, { database: sqliteDatabase('./stock.db') })
  .work(stock.queues.reserve, ({ data }) => console.log('reserved', data.invoice))
  .work(stock.queues.release, ({ data }) => console.log('released', data.invoice))
const bank = service(payments, { database: sqliteDatabase('./payments.db') })
  .work(payments.queues.charge, ({ data }, { publish }) => {
    if (data.cents <= 100) publish(payments.events.charged, { invoice: data.invoice })
  })
  .work(payments.queues.refund, ({ data }) => console.log('refunded', data.invoice))

const running = await run(topology({ contexts: [shop, stores, bank, fulfilments], engine: 'sqlite:./data' }))
const instances = running.service(fulfilments).saga(process)
const untilEnded = async (invoice: string) => {
  while (!(await instances.get(invoice))?.ended) await new Promise((resolve) => setTimeout(resolve, 50))
  await running.drained()
}

await running.service(shop).transaction((tx) => tx.publish(orders.events.placed, { invoice: 'A', cents: 50 }))
await untilEnded('A')

// Nobody pays this one: one reminder, then it is undone.
await running
  .service(shop)
  .transaction((tx) => tx.publish(orders.events.placed, { invoice: 'B', cents: 500 }))
while (!(await instances.get('B'))) await new Promise((resolve) => setTimeout(resolve, 20))
for (const { id, ended, timeouts, compensations } of await instances.list())
  console.log(id, ended, timeouts, compensations)
await untilEnded('B')
await running.stop()
