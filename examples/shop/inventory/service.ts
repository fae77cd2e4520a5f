// The inventory service: sets goods aside for every order, buys what is missing, and says when an order is complete.
import { join } from 'node:path'
import { orders } from '../orders/contract.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { inventory } from './contract.ts'
import { completed, createTables, fill, reserve, takeBack } from './tables.ts'

/** A supplier needs days; this one is quick, so that the demonstration is. */
const supplierNeeds = '500ms'

export function inventoryService(folder: string) {
  const database = sqliteDatabase(join(folder, 'inventory.sqlite'), { setup: createTables })
  return service(inventory, { database, lease: '5s', session: '5s' })
    .on(orders.events.placed, ({ data: order }, { commit }) =>
      commit((tx) => {
        const missing = reserve(tx.db, order)
        // Nothing to do until the supplier has been here: so the message may come then, and not before.
        for (const restock of missing ?? [])
          tx.send(inventory.queues.restock, restock, { delay: supplierNeeds })
        if (missing?.length === 0) tx.publish(inventory.events.reserved, completed(tx.db, order.invoice)!)
      }),
    )
    .on(orders.events.cancelled, ({ data: order }, { commit }) => commit(({ db }) => takeBack(db, order)))
    .work(inventory.queues.restock, ({ data: restock }, { commit }) =>
      commit((tx) => {
        fill(tx.db, restock)
        const reservation = completed(tx.db, restock.invoice)
        if (reservation) tx.publish(inventory.events.reserved, reservation)
      }),
    )
}
