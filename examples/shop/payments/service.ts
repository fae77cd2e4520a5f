// The payments service: charges what was ordered, refunds what was cancelled, and keeps the ledger.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { accounting } from '../accounting/contract.ts'
import { orders } from '../orders/contract.ts'
import { service, sqliteDatabase, type Tx } from '../spillway.ts'
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

/** The ledger, the entry for the books and the event: all three, or none. */
function charge(tx: Tx<DatabaseSync>, payment: Payment): void {
  if (!settle(tx.db, 'charge', payment)) return
  tx.send(accounting.queues.entries, { invoice: payment.invoice, kind: 'charge', pence: payment.pence })
  tx.publish(payments.events.charged, payment)
}

function refund(tx: Tx<DatabaseSync>, payment: Payment): void {
  if (!settle(tx.db, 'refund', payment)) return
  tx.send(accounting.queues.entries, { invoice: payment.invoice, kind: 'refund', pence: payment.pence })
  tx.publish(payments.events.refunded, payment)
}

export function paymentsService(folder: string) {
  const database = sqliteDatabase(join(folder, 'payments.sqlite'), { setup })
  return service(payments, { database, lease: '5s', session: '5s' })
    .on(orders.events.placed, ({ data: { invoice, customer, pence } }, { commit }) =>
      commit((tx) => charge(tx, { invoice, customer, pence })),
    )
    .on(orders.events.cancelled, ({ data: { invoice, customer, pence } }, { commit }) =>
      commit((tx) => refund(tx, { invoice, customer, pence: -pence })),
    )
}
