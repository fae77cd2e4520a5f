// The checkout service: asks the inventory whether the goods are there, and takes the order whatever it hears.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { inventory } from '../inventory/contract.ts'
import { type Invoice, orders } from '../orders/contract.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { checkout } from './contract.ts'

function setup(db: DatabaseSync): void {
  db.exec('CREATE TABLE IF NOT EXISTS promises (invoice TEXT PRIMARY KEY, promise TEXT NOT NULL) STRICT')
}

export function checkoutService(folder: string) {
  const database = sqliteDatabase(join(folder, 'checkout.sqlite'), { setup })
  return service(checkout, { database }).answer(
    checkout.calls.handIn,
    async (invoice, { call, commit, key }) => {
      const asked = await call(inventory.calls.shortage, { lines: wanted(invoice) })
      // No inventory, no promise: that is no reason to send a customer away.
      const promise =
        asked.status !== 'ok' ? 'none' : asked.value.pieces > 0 ? 'when it has come in' : 'at once'
      return commit((tx) => {
        tx.db.prepare('INSERT OR REPLACE INTO promises VALUES (?, ?)').run(invoice.number, promise)
        tx.send(orders.queues.intake, invoice, { id: key })
        return { promise }
      })
    },
  )
}

/** What cannot be read is for the orders to refuse. */
function wanted({ rows }: Invoice) {
  return rows.flatMap(({ stockCode: product, quantity }) =>
    /^\d{1,7}$/.test(quantity) && product !== '' ? [{ product, pieces: Number(quantity) }] : [],
  )
}
