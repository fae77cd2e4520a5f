// The inventory service: sets goods aside for every order, buys what is missing, and says when an order is complete.
import { join } from 'node:path'
import { orders } from '../orders/contract.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { inventory } from './contract.ts'
import { createTables, fill, reservationOf, reserve, shortage, takeBack } from './tables.ts'

const { restock, complete } = inventory.queues

/** A supplier needs days; this one is quick, so that the demonstration is. */
const supplierNeeds = '500ms'

export function inventoryService(folder: string) {
  const database = sqliteDatabase(join(folder, 'inventory.sqlite'), { setup: createTables })
  return (
    service(inventory, { database, lease: '5s', session: '5s' })
      .on(orders.events.placed, ({ data: order }, { commit }) =>
        commit((tx) => {
          const missing = reserve(tx.db, order)
          if (!missing) return
          // Nothing to do until the supplier has been here: so the message may come then, and not before.
          const after = missing.map((each) => tx.send(restock, each, { delay: supplierNeeds }))
          if (after.length > 0) tx.send(complete, { invoice: order.invoice }, { after })
          else tx.publish(inventory.events.reserved, reservationOf(tx.db, order.invoice))
        }),
      )
      .on(orders.events.cancelled, ({ data: order }, { commit }) => commit(({ db }) => takeBack(db, order)))
      .answer(inventory.calls.shortage, ({ lines }, { db }) => ({ missing: shortage(db, lines) }))
      // Both versions are answered from the same tables: the first one says less.
      .answer(inventory.calls.shortageV1, ({ lines }, { db }) => ({
        pieces: shortage(db, lines).reduce((sum, { pieces }) => sum + pieces, 0),
      }))
      .work(restock, ({ data }, { commit }) => commit(({ db }) => fill(db, data)))
      .work(complete, ({ data: { invoice } }, { commit }) =>
        commit((tx) => tx.publish(inventory.events.reserved, reservationOf(tx.db, invoice))),
      )
  )
}
