// The tables of the inventory context: what lies on the shelves, what is set aside for whom, and what is still to come.
import type { DatabaseSync } from 'node:sqlite'
import type { Order } from '../orders/contract.ts'
import { isGoods } from '../products.ts'
import type { Reservation, Restock } from './contract.ts'

/** What lies on the shelf of every product when the shop opens. */
const opening = 48

export function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS stock (
      product TEXT PRIMARY KEY, on_shelf INTEGER NOT NULL CHECK (on_shelf >= 0), bought INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE IF NOT EXISTS reservations (
      invoice TEXT PRIMARY KEY, customer TEXT, country TEXT NOT NULL
    ) STRICT;

    CREATE TABLE IF NOT EXISTS reserved_lines (
      invoice TEXT NOT NULL, line INTEGER NOT NULL, product TEXT NOT NULL, pieces INTEGER NOT NULL,
      missing INTEGER NOT NULL CHECK (missing BETWEEN 0 AND pieces), PRIMARY KEY (invoice, line)
    ) STRICT;

    CREATE TABLE IF NOT EXISTS returns (invoice TEXT PRIMARY KEY, pieces INTEGER NOT NULL) STRICT;
  `)
}

/** Sets aside what is there. Resolves with what is missing; undefined when this was done for the order before. */
export function reserve(db: DatabaseSync, order: Order): Restock[] | undefined {
  const { invoice, customer, country } = order
  const insert = db.prepare('INSERT OR IGNORE INTO reservations VALUES (?, ?, ?)')
  if (insert.run(invoice, customer, country).changes === 0) return undefined
  const missing: Restock[] = []
  order.lines.forEach(({ stockCode: product, quantity }, line) => {
    if (!isGoods(product)) return
    const short = quantity - takeFromShelf(db, product, quantity)
    db.prepare('INSERT INTO reserved_lines VALUES (?, ?, ?, ?, ?)').run(
      invoice,
      line,
      product,
      quantity,
      short,
    )
    if (short > 0) missing.push({ invoice, line, product, pieces: short })
  })
  return missing
}

/** Takes as many as there are, at most as many as are wanted; returns how many these are. */
function takeFromShelf(db: DatabaseSync, product: string, wanted: number): number {
  db.prepare('INSERT OR IGNORE INTO stock (product, on_shelf) VALUES (?, ?)').run(product, opening)
  const { on_shelf } = db.prepare('SELECT on_shelf FROM stock WHERE product = ?').get(product)!
  const taken = Math.min(wanted, Number(on_shelf))
  db.prepare('UPDATE stock SET on_shelf = on_shelf - ? WHERE product = ?').run(taken, product)
  return taken
}

/** What the supplier brought goes to the order that waits for it. */
export function fill(db: DatabaseSync, { invoice, line, product, pieces }: Restock): void {
  db.prepare('UPDATE stock SET bought = bought + ? WHERE product = ?').run(pieces, product)
  db.prepare('UPDATE reserved_lines SET missing = missing - ? WHERE invoice = ? AND line = ?').run(
    pieces,
    invoice,
    line,
  )
}

/** The reservation of an order of which nothing is missing any more. */
export function completed(db: DatabaseSync, invoice: string): Reservation | undefined {
  const found = db
    .prepare(
      `SELECT invoice, customer, country, coalesce(sum(pieces), 0) AS pieces
       FROM reservations LEFT JOIN reserved_lines USING (invoice)
       WHERE invoice = ? GROUP BY invoice HAVING coalesce(sum(missing), 0) = 0`,
    )
    .get(invoice)
  return found as Reservation | undefined
}

/** Goods that came back are looked at by somebody; they do not go on the shelf again. */
export function takeBack(db: DatabaseSync, { invoice, lines }: Order): void {
  const pieces = lines
    .filter(({ stockCode }) => isGoods(stockCode))
    .reduce((sum, { quantity }) => sum - quantity, 0)
  db.prepare('INSERT OR IGNORE INTO returns VALUES (?, ?)').run(invoice, pieces)
}
