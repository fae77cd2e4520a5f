// The checkout service: asks the inventory whether the goods are there, and takes the order whatever it hears.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { inventory } from '../inventory/contract.ts'
import { orders } from '../orders/contract.ts'
import { wantedIn } from '../products.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { checkout } from './contract.ts'

function setup(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS promises (invoice TEXT PRIMARY KEY, promise TEXT NOT NULL) STRICT;

    CREATE TABLE IF NOT EXISTS awaited (
      invoice TEXT NOT NULL, product TEXT NOT NULL, pieces INTEGER NOT NULL, PRIMARY KEY (invoice, product)
    ) STRICT;
  `)
}

export function checkoutService(folder: string) {
  const database = sqliteDatabase(join(folder, 'checkout.sqlite'), { setup })
  return service(checkout, { database }).answer(
    checkout.calls.handIn,
    async (invoice, { call, commit, key }) => {
      const asked = await call(inventory.calls.shortage, { lines: wantedIn(invoice) })
      // No inventory, no promise: that is no reason to send a customer away.
      const missing = asked.status === 'ok' ? asked.value.missing : undefined
      const promise = !missing ? 'none' : missing.length > 0 ? 'when it has come in' : 'at once'
      return commit((tx) => {
        tx.db.prepare('INSERT OR REPLACE INTO promises VALUES (?, ?)').run(invoice.number, promise)
        const note = tx.db.prepare('INSERT OR REPLACE INTO awaited VALUES (?, ?, ?)')
        for (const { product, pieces } of missing ?? []) note.run(invoice.number, product, pieces)
        tx.send(orders.queues.intake, invoice, { id: key })
        return { promise }
      })
    },
  )
}
