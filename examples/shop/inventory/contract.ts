// What the inventory context is to others: goods that were set aside for an order, what it has on order itself, and what it can be asked.
import { z } from 'zod'
import { call, context, event, queue } from '../spillway.ts'

/** All goods of an order lie ready. An order of services alone (postage, vouchers) has no pieces. */
const Reservation = z.object({
  invoice: z.string(),
  /** Null for a guest. */
  customer: z.string().nullable(),
  country: z.string(),
  pieces: z.int().nonnegative(),
})

/** What the supplier is to bring for one line of an order. */
const Restock = z.object({
  invoice: z.string(),
  line: z.int(),
  product: z.string(),
  pieces: z.int().positive(),
})

export type Reservation = z.infer<typeof Reservation>
export type Restock = z.infer<typeof Restock>

/** What somebody thinks of ordering. */
const Wanted = z.object({
  lines: z.array(z.object({ product: z.string(), pieces: z.int().nonnegative() })).max(10_000),
})

export const inventory = context('inventory', {
  queues: {
    restock: queue({
      data: Restock,
      key: ({ product }) => product, // what comes in of a product goes to the orders in the order in which they asked
      flow: true,
      keepFinished: { for: '30d', count: 1_000 }, // the buyer looks at what came in lately
    }),
    // Waits for all that is bought for an order, however much that is and whatever comes first.
    complete: queue({ data: z.object({ invoice: z.string() }), flow: true }),
  },
  calls: {
    /** What would have to be bought, if these were ordered now. */
    shortage: call({
      version: 2,
      input: Wanted,
      output: z.object({
        missing: z.array(z.object({ product: z.string(), pieces: z.int().positive() })),
      }),
      deadline: '500ms', // a customer waits
    }),
    /** What the call was before: it said how much is missing, and not of what. Tills ask so (`driver/till.ts`); it goes when the last one does not. */
    shortageV1: call({
      name: 'shortage',
      version: 1,
      input: Wanted,
      output: z.object({ pieces: z.int().nonnegative() }),
      deadline: '500ms',
    }),
  },
  events: {
    reserved: event({ data: Reservation, key: ({ invoice }) => invoice }),
  },
})
