// Sends invoices as the world outside does: tills put them on the queue of the orders; customers on the web order, one thing after another and all of them at once.
import { createHash } from 'node:crypto'
import type { Invoice } from '../orders/contract.ts'

/** So many as a checkout takes at once. */
const atOnce = 50

export interface SendOptions {
  readonly signal?: AbortSignal
  /** Hears how many invoices are kept. */
  readonly onProgress?: (sent: number) => void
}

/** Resolves when the order is kept; asks again until it knows. */
export type HandIn = (invoice: Invoice, key: string) => Promise<void>

export interface Doors {
  readonly till: HandIn
  readonly web: HandIn
}

/** Resolves when every invoice is kept safe. */
export async function sendInvoices(
  { till, web }: Doors,
  invoices: readonly Invoice[],
  { signal, onProgress }: SendOptions = {},
): Promise<void> {
  let sent = 0
  const send = async (handIn: HandIn, some: readonly Invoice[]) => {
    await Promise.all(some.map((invoice) => handIn(invoice, idOf(invoice))))
    sent += some.length
    onProgress?.(sent)
  }
  const atTills = invoices.filter((invoice) => !isFromWeb(invoice))
  const sell = async () => {
    for (let from = 0; from < atTills.length && !signal?.aborted; from += atOnce)
      await send(till, atTills.slice(from, from + atOnce))
  }
  const customers = [...Map.groupBy(invoices.filter(isFromWeb), whoOrders).values()]
  const order = async () => {
    for (let orders = customers.shift(); orders && !signal?.aborted; orders = customers.shift())
      for (const invoice of orders) await send(web, [invoice])
  }
  await Promise.all([sell(), ...Array.from({ length: atOnce }, order)])
}

/** Who is abroad orders on the web. */
export function isFromWeb({ rows: [first] }: Invoice): boolean {
  return first !== undefined && first.country !== 'United Kingdom'
}

/** Guests are many. */
function whoOrders({ number, rows: [first] }: Invoice): string {
  return Number(first?.customer) === 0 ? `guest ${number}` : `customer ${first?.customer}`
}

/** The same invoice always gets the same id: whoever sends a file twice does no harm. */
function idOf(invoice: Invoice): string {
  return createHash('sha256').update(JSON.stringify(invoice)).digest('hex')
}
