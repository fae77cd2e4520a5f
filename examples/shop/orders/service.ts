// The orders service: takes invoices in, stores what is a sale, tells the others, and keeps a view of the revenue.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { notifications, reminderId, wantsReminder } from '../notifications/contract.ts'
import { service, sqliteDatabase, type Tx } from '../spillway.ts'
import { assess } from './assess.ts'
import { type Order, orders } from './contract.ts'
import { createReports, nightly, report } from './report.ts'
import { createRevenue, enterRevenue } from './revenue.ts'
import { createTables, storeOrder, storeRejected, takeIn } from './tables.ts'

function setup(db: DatabaseSync): void {
  createTables(db)
  createRevenue(db)
  createReports(db)
}

/** Due in two weeks, unless the money comes first and somebody calls it off by its id. */
function remind(tx: Tx<DatabaseSync>, { invoice, customer, pence }: Order): void {
  const options = { id: reminderId(invoice), delay: '14d' } as const
  tx.send(notifications.queues.reminder, { invoice, customer, pence }, options)
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
          if (kind === 'order' && wantsReminder(order)) remind(tx, order)
        })
      },
      { concurrency: 100 },
    )
    .on(orders.events.placed, ({ data: order }, { commit }) => commit(({ db }) => enterRevenue(db, order)))
    .on(orders.events.cancelled, ({ data: order }, { commit }) => commit(({ db }) => enterRevenue(db, order)))
    .schedule(orders.queues.report, 'nightly', nightly, {})
    .work(orders.queues.report, ({ time, scheduledfor = time }, { commit }) =>
      commit(({ db }) => report(db, scheduledfor)),
    )
}
