// The clerks of the warehouse. The file has their bookings among the invoices, as lines that nobody paid for: 'wet boxes', 'found'.
import { correct, openCorrections } from '../inventory/corrections.ts'
import type { Invoice } from '../orders/contract.ts'
import type { Spillway } from '../spillway.ts'

const clerks = 4

/** Resolves when all of it is booked. A line that was booked in an earlier run is known by its id. */
export async function bookCorrections(
  spillway: Spillway,
  invoices: readonly Invoice[],
  signal?: AbortSignal,
): Promise<void> {
  const stream = await openCorrections(spillway)
  const bookings = invoices.flatMap(correctionsIn).values()
  const clerk = async () => {
    // They share one pile: each takes the next booking from it.
    for (const { id, ...correction } of bookings) {
      if (signal?.aborted) return
      await correct(stream, id, correction)
    }
  }
  await Promise.all(Array.from({ length: clerks }, clerk))
}

function correctionsIn({ number, rows }: Invoice) {
  return rows.flatMap(({ stockCode: product, description: note, quantity, unitPrice }, row) => {
    const isBooking = product !== '' && /^-?\d{1,7}$/.test(quantity) && /^0(\.0+)?$/.test(unitPrice)
    const pieces = Number(quantity)
    return isBooking && pieces !== 0 ? [{ id: `${number}-${row}`, product, pieces, note }] : []
  })
}
