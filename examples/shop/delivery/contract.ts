// What the delivery context is to others: parcels that left.
import { z } from 'zod'
import { context, event } from '../spillway.ts'

const Parcel = z.object({
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
    shipped: event({ data: Parcel, key: ({ invoice }) => invoice }),
  },
})
