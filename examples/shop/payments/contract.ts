// What the payments context is to others: money that moved.
import { z } from 'zod'
import { context, event } from '../spillway.ts'

const Payment = z.object({
  invoice: z.string(),
  /** Null for a guest. */
  customer: z.string().nullable(),
  /** What was taken, or given back; never negative. */
  pence: z.int().nonnegative(),
})

export type Payment = z.infer<typeof Payment>

export const payments = context('payments', {
  events: {
    charged: event({ data: Payment, key: (payment) => payment.invoice }),
    refunded: event({ data: Payment, key: (payment) => payment.invoice }),
  },
})
