// The tables of the orders context: what was taken in, what became an order, and what was refused.
import type { DatabaseSync } from 'node:sqlite'
import type { Assessment } from './assess.ts'
import type { Invoice, Order } from './contract.ts'

export function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS invoices (number TEXT PRIMARY KEY, row_count INTEGER NOT NULL) STRICT;

    CREATE TABLE IF NOT EXISTS rejected_rows (
      invoice TEXT NOT NULL, row INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (invoice, row)
    ) STRICT;

    CREATE TABLE IF NOT EXISTS orders (
      invoice TEXT PRIMARY KEY, kind TEXT NOT NULL, customer TEXT, country TEXT NOT NULL, date TEXT NOT NULL,
      pence INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE IF NOT EXISTS order_lines (
      invoice TEXT NOT NULL, line INTEGER NOT NULL, stock_code TEXT NOT NULL, description TEXT NOT NULL,
      quantity INTEGER NOT NULL, pence INTEGER NOT NULL, PRIMARY KEY (invoice, line)
    ) STRICT;
  `)
}

/** Notes that the invoice was taken in; false when it was before. */
export function takeIn(db: DatabaseSync, { number, rows }: Invoice): boolean {
  const insert = db.prepare('INSERT OR IGNORE INTO invoices VALUES (?, ?)')
  return insert.run(number, rows.length).changes > 0
}

export function storeRejected(db: DatabaseSync, invoice: string, rejected: Assessment['rejected']): void {
  const insert = db.prepare('INSERT INTO rejected_rows VALUES (?, ?, ?)')
  for (const { row, reason } of rejected) insert.run(invoice, row, reason)
}

export function storeOrder(db: DatabaseSync, kind: Assessment['kind'], order: Order): void {
  const { invoice, customer, country, date, pence, lines } = order
  db.prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)').run(
    invoice,
    kind,
    customer,
    country,
    date,
    pence,
  )
  const insert = db.prepare('INSERT INTO order_lines VALUES (?, ?, ?, ?, ?, ?)')
  lines.forEach((line, index) => {
    insert.run(invoice, index, line.stockCode, line.description, line.quantity, line.pence)
  })
}
