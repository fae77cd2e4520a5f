// The orders service: takes invoices in, stores what is a sale, tells the others, and keeps a view of the revenue.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { service, sqliteDatabase } from '../spillway.ts'
import { assess } from './assess.ts'
import { orders } from './contract.ts'
import { createRevenue, enterRevenue } from './revenue.ts'
import { createTables, storeOrder, storeRejected, takeIn } from './tables.ts'

function setup(db: DatabaseSync): void {
  createTables(db)
  createRevenue(db)
}

export function ordersService(folder: string) {
  const database = sqliteDatabase(join(folder, 'orders.sqlite'), { setup })
  return service(orders, { database, lease: '5s', session: '5s' })
    .work(
      orders.queues.intake,
      async ({ data: invoice }, { commit }) => {
        const { kind, order, rejected } = assess(invoice)
        await commit((tx) => {
          if (!takeIn(tx.db, invoice)) return
          storeRejected(tx.db, invoice.number, rejected)
          if (!order) return
          storeOrder(tx.db, kind, order)
          tx.publish(kind === 'order' ? orders.events.placed : orders.events.cancelled, order)
        })
      },
      { concurrency: 100 },
    )
    .on(orders.events.placed, ({ data: order }, { commit }) => commit(({ db }) => enterRevenue(db, order)))
    .on(orders.events.cancelled, ({ data: order }, { commit }) => commit(({ db }) => enterRevenue(db, order)))
}
