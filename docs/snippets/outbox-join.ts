import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { context, event, run, service, topology } from 'spillway'
import { postgresDatabase } from 'spillway/postgres'
import { z } from 'zod'

const orders = context('orders', {
  events: {
    placed: event({ data: z.object({ orderId: z.string() }), key: (order) => order.orderId }),
    paid: event({ data: z.object({ orderId: z.string() }), key: (order) => order.orderId }),
  },
})
const mail = context('mail', {})
const url = process.env.DATABASE_URL ?? 'postgres://app@127.0.0.1/app'
const ordersService = service(orders, {
  database: postgresDatabase({
    url,
    setup: (db) => db.query('create table if not exists orders (id text primary key, state text not null)'),
  }),
})
const mailService = service(mail)
  .on(orders.events.placed, ({ data }) => console.log(`${data.orderId} placed`))
  .on(orders.events.paid, ({ data }) => console.log(`${data.orderId} paid`))
await using running = await run(topology({ contexts: [ordersService, mailService], engine: url }))
const shop = running.service(ordersService)

// The database as the program has it already.
const db = new Kysely<{ orders: { id: string; state: string } }>({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }),
})

await db.transaction().execute(async (trx) => {
  await trx.insertInto('orders').values({ id: '4711', state: 'placed' }).execute()
  await shop.join(trx).publish(orders.events.placed, { orderId: '4711' })
})
shop.committed()

await db.transaction().execute(async (trx) => {
  // The change first: it locks the row, so whoever changes it next publishes after this.
  await trx.updateTable('orders').set({ state: 'paid' }).where('id', '=', '4711').execute()
  await shop.join(trx).publish(orders.events.paid, { orderId: '4711' })
})
shop.committed()

await running.drained()
await db.destroy()
