// What the delivery context is to others: parcels that left, and what is known of one.
import { z } from 'zod'
import { call, context, pointer } from '../spillway.ts'

export const Parcel = z.object({
  /** Rises with every change; a time in milliseconds, so that it rises too when the books are begun anew. */
  version: z.int().positive(),
  invoice: z.string(),
  /** Null for a guest. */
  customer: z.string().nullable(),
  country: z.string(),
  pieces: z.int().positive(),
})

export type Parcel = z.infer<typeof Parcel>

export const delivery = context('delivery', {
  retain: { for: '400d' }, // nobody asks for a parcel after that; its row in the books of the delivery stays
  events: {
    // Says that a parcel left, and no more: where it goes and to whom is asked for by those who may know.
    orderShipped: pointer({ key: 'invoice', fetch: 'getParcel' }),
  },
  calls: {
    getParcel: call({
      input: z.object({ invoice: z.string() }),
      output: Parcel,
      errors: { gone: z.object({ invoice: z.string() }) },
      deadline: '2s',
    }),
  },
})
