// Whether the orders stand in the books as they were handed in: once each, and whole, whatever limits, queues and crashes did to them on their way.
import type { DatabaseSync } from 'node:sqlite'
import { assess } from './assess.ts'
import type { Invoice } from './contract.ts'

/** The numbers of invoices that are not there, or there otherwise than what is on them says. */
export function notAsHandedIn(db: DatabaseSync, invoices: readonly Invoice[]): readonly string[] {
  const stored = db.prepare(
    `SELECT kind, country, pence, (SELECT count(*) FROM order_lines WHERE invoice = ?1) AS lines,
       (SELECT count(*) FROM rejected_rows WHERE invoice = ?1) AS rejected
     FROM invoices LEFT JOIN orders ON invoice = number WHERE number = ?1`,
  )
  const wrong = invoices.filter((invoice) => {
    const { kind, order, rejected } = assess(invoice)
    const found = stored.get(invoice.number)
    return (
      found?.kind !== (order ? kind : null) ||
      found.country !== (order?.country ?? null) ||
      found.pence !== (order?.pence ?? null) ||
      found.lines !== (order?.lines.length ?? 0) ||
      found.rejected !== rejected.length
    )
  })
  return wrong.map(({ number }) => number)
}
