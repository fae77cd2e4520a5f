// Sends invoices as the world outside does: tills put them on the queue of the orders, customers on the web hand them in at the door.
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
  for (let sent = 0; sent < invoices.length && !signal?.aborted; ) {
    const batch = invoices.slice(sent, sent + atOnce)
    await Promise.all(batch.map((invoice) => (isFromWeb(invoice) ? web : till)(invoice, idOf(invoice))))
    sent += batch.length
    onProgress?.(sent)
  }
}

/** Who is abroad orders on the web. */
export function isFromWeb({ rows: [first] }: Invoice): boolean {
  return first !== undefined && first.country !== 'United Kingdom'
}

/** The same invoice always gets the same id: whoever sends a file twice does no harm. */
function idOf(invoice: Invoice): string {
  return createHash('sha256').update(JSON.stringify(invoice)).digest('hex')
}
