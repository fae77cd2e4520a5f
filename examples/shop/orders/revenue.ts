// The revenue: a view of the orders context on its own events. It can be deleted at any time and built anew from the stream.
import type { DatabaseSync } from 'node:sqlite'
import type { Running, Service } from '../spillway.ts'
import { type Order, orders } from './contract.ts'

/** One entry for each order: whoever enters an event twice changes nothing, and so a replay needs no coordination. */
export function createRevenue(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS revenue (
      invoice TEXT PRIMARY KEY, country TEXT NOT NULL, customer TEXT, pence INTEGER NOT NULL
    ) STRICT;
    CREATE VIEW IF NOT EXISTS revenue_by_country AS
      SELECT country, sum(pence) AS pence FROM revenue GROUP BY country ORDER BY pence DESC;
    CREATE VIEW IF NOT EXISTS revenue_by_customer AS
      SELECT customer, sum(pence) AS pence FROM revenue WHERE customer IS NOT NULL
      GROUP BY customer ORDER BY pence DESC;
  `)
}

export function enterRevenue(db: DatabaseSync, { invoice, country, customer, pence }: Order): void {
  const insert = db.prepare('INSERT OR IGNORE INTO revenue VALUES (?, ?, ?, ?)')
  insert.run(invoice, country, customer, pence)
}

/** Every entry, for comparing a view with another. */
export function revenueEntries(db: DatabaseSync) {
  return db.prepare('SELECT * FROM revenue ORDER BY invoice').all()
}

/**
 * Deletes the view and replays the events into it. Events that arrive meanwhile are entered by their handler as always:
 * deleting first and ignoring what is there makes the order of the two irrelevant.
 */
export async function rebuildRevenue(running: Running, service: Service<DatabaseSync>): Promise<number> {
  const own = running.service(service)
  await own.transaction(({ db }) => db.exec('DELETE FROM revenue'))
  const history: Order[] = []
  const count = await running.replay(orders, {
    placed: ({ data }) => history.push(data),
    cancelled: ({ data }) => history.push(data),
  })
  await own.transaction(({ db }) => {
    for (const order of history) enterRevenue(db, order)
  })
  return count
}
