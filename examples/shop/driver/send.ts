// Sends invoices to the orders context, as a till or an import would: all it knows is the queue and its contract.
import { createHash } from 'node:crypto'
import type { Invoice } from '../orders/contract.ts'
import type { Queue } from '../spillway.ts'

const atOnce = 500

export interface SendOptions {
  readonly signal?: AbortSignal
  /** Hears how many invoices are kept. */
  readonly onProgress?: (sent: number) => void
}

/** Resolves when every invoice is kept safe in the queue. */
export async function sendInvoices(
  intake: Queue<Invoice>,
  invoices: readonly Invoice[],
  { signal, onProgress }: SendOptions = {},
): Promise<void> {
  for (let sent = 0; sent < invoices.length && !signal?.aborted; ) {
    const batch = invoices.slice(sent, sent + atOnce)
    await Promise.all(batch.map((invoice) => intake.send(invoice, { id: idOf(invoice) })))
    sent += batch.length
    onProgress?.(sent)
  }
}

/** The same invoice always gets the same id: whoever sends a file twice does no harm. */
function idOf(invoice: Invoice): string {
  return createHash('sha256').update(JSON.stringify(invoice)).digest('hex')
}
