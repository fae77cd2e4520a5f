// The payments service: charges what was ordered, refunds what was cancelled, and keeps the ledger.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { orders } from '../orders/contract.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { type Payment, payments } from './contract.ts'

function setup(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS ledger (
      invoice TEXT PRIMARY KEY, kind TEXT NOT NULL, customer TEXT, pence INTEGER NOT NULL
    ) STRICT
  `)
}

/** Writes into the ledger; false when the invoice was settled before. */
function settle(db: DatabaseSync, kind: 'charge' | 'refund', { invoice, customer, pence }: Payment): boolean {
  const insert = db.prepare('INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?)')
  return insert.run(invoice, kind, customer, pence).changes > 0
}

export function paymentsService(folder: string) {
  const database = sqliteDatabase(join(folder, 'payments.sqlite'), { setup })
  return service(payments, { database, lease: '5s', session: '5s' })
    .on(orders.events.placed, async ({ data: { invoice, customer, pence } }, { commit }) => {
      const payment = { invoice, customer, pence }
      await commit((tx) => {
        if (settle(tx.db, 'charge', payment)) tx.publish(payments.events.charged, payment)
      })
    })
    .on(orders.events.cancelled, async ({ data: { invoice, customer, pence } }, { commit }) => {
      const payment = { invoice, customer, pence: -pence }
      await commit((tx) => {
        if (settle(tx.db, 'refund', payment)) tx.publish(payments.events.refunded, payment)
      })
    })
}
