// The tables of the inventory context: what lies on the shelves, what is set aside for whom, and what is still to come.
import type { DatabaseSync } from 'node:sqlite'
import type { Order } from '../orders/contract.ts'
import { isGoods } from '../products.ts'
import type { Reservation, Restock } from './contract.ts'

/** What there is of every product when the shop opens. What is on hand falls below nothing when more was promised: the supplier brings it. */
const opening = 48

export function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS stock (
      product TEXT PRIMARY KEY, on_hand INTEGER NOT NULL, bought INTEGER NOT NULL DEFAULT 0
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

/** Sets aside what is there. Returns what is missing; undefined when this was done for the order before. */
export function reserve(db: DatabaseSync, order: Order): Restock[] | undefined {
  const { invoice, customer, country, lines } = order
  const insert = db.prepare('INSERT OR IGNORE INTO reservations VALUES (?, ?, ?)')
  if (insert.run(invoice, customer, country).changes === 0) return undefined
  const take = db.prepare(
    `INSERT INTO stock (product, on_hand) VALUES (?1, ${opening} - ?2)
     ON CONFLICT (product) DO UPDATE SET on_hand = on_hand - ?2 RETURNING on_hand`,
  )
  const note = db.prepare('INSERT INTO reserved_lines VALUES (?, ?, ?, ?, ?)')
  const restocks: Restock[] = []
  lines.forEach(({ stockCode: product, quantity }, line) => {
    if (!isGoods(product)) return
    const left = Number(take.get(product, quantity)!.on_hand)
    const missing = Math.min(quantity, Math.max(0, -left))
    note.run(invoice, line, product, quantity, missing)
    if (missing > 0) restocks.push({ invoice, line, product, pieces: missing })
  })
  return restocks
}

interface Pieces {
  readonly product: string
  readonly pieces: number
}

/** What would be missing if these were set aside: once for each product, however many lines want of it. */
export function shortage(db: DatabaseSync, lines: readonly Pieces[]): Pieces[] {
  const left = db.prepare('SELECT on_hand FROM stock WHERE product = ?')
  const wanted = new Map<string, number>()
  for (const { product, pieces } of lines)
    if (isGoods(product)) wanted.set(product, (wanted.get(product) ?? 0) + pieces)
  return [...wanted]
    .map(([product, pieces]) => ({
      product,
      pieces: pieces - Math.max(0, Number(left.get(product)?.on_hand ?? opening)),
    }))
    .filter(({ pieces }) => pieces > 0)
}

/** What the supplier brought goes to the order that waits for it. */
export function fill(db: DatabaseSync, { invoice, line, product, pieces }: Restock): void {
  db.prepare('UPDATE stock SET on_hand = on_hand + ?1, bought = bought + ?1 WHERE product = ?2').run(
    pieces,
    product,
  )
  db.prepare('UPDATE reserved_lines SET missing = missing - ? WHERE invoice = ? AND line = ?').run(
    pieces,
    invoice,
    line,
  )
}

/** Throws when something of it is still missing: that would be told too early. */
export function reservationOf(db: DatabaseSync, invoice: string): Reservation {
  const found = db
    .prepare(
      `SELECT invoice, customer, country, coalesce(sum(pieces), 0) AS pieces
       FROM reservations LEFT JOIN reserved_lines USING (invoice)
       WHERE invoice = ? GROUP BY invoice HAVING coalesce(sum(missing), 0) = 0`,
    )
    .get(invoice)
  if (!found) throw new Error(`order ${invoice} is not complete`)
  return found as unknown as Reservation
}

/** Goods that came back are looked at by somebody; they do not go on the shelf again. */
export function takeBack(db: DatabaseSync, { invoice, lines }: Order): void {
  const pieces = lines
    .filter(({ stockCode }) => isGoods(stockCode))
    .reduce((sum, { quantity }) => sum - quantity, 0)
  db.prepare('INSERT OR IGNORE INTO returns VALUES (?, ?)').run(invoice, pieces)
}
