// Corrections of the stock: what the warehouse finds broken, lost, or behind a shelf. Several clerks book at the same time, so each
// books on what he has read: an event-sourced aggregate, for each product one.
import { z } from 'zod'
import type { Spillway, Stream } from '../spillway.ts'

const Correction = z.object({
  product: z.string(),
  /** Negative for what is no longer there. */
  pieces: z.int(),
  note: z.string(),
})

export type Correction = z.infer<typeof Correction>

export function openCorrections(spillway: Spillway): Promise<Stream<Correction, Correction>> {
  return spillway.stream('stock-corrections', {
    data: Correction,
    key: ({ product }) => product,
    versions: true,
  })
}

/** Reads what was booked of the product, and books, unless another clerk was first: then it reads again. False when it was booked before. */
export async function correct(
  stream: Stream<Correction, Correction>,
  id: string,
  correction: Correction,
): Promise<boolean> {
  for (;;) {
    let expectedVersion = 0
    for await (const { message, version } of stream.readKey(correction.product)) {
      if (message.id === id) return false
      expectedVersion = version!
    }
    const { status } = await stream.append(correction, { id, expectedVersion })
    if (status === 'appended') return true
  }
}

export async function correctedPieces(stream: Stream<Correction, Correction>) {
  const total = { found: 0, lost: 0 }
  for await (const { message } of stream.read()) {
    const { pieces } = message.data
    if (pieces > 0) total.found += pieces
    else total.lost -= pieces
  }
  return total
}
