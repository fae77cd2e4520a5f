// What the notifications context is to others: queues of what is to be told to customers. It publishes nothing.
import { z } from 'zod'
import { context, queue } from '../spillway.ts'

const Receipt = z.object({
  invoice: z.string(),
  kind: z.enum(['charge', 'refund']),
  to: z.email(),
  pence: z.int().nonnegative(),
})

const Reminder = z.object({ invoice: z.string(), customer: z.string().nullable(), pence: z.int().positive() })

const Push = z.object({ invoice: z.string(), customer: z.string(), text: z.string() })

/** Small orders are paid by card at once; who owes more may pay by transfer, and forget it. */
export function wantsReminder({ pence }: { readonly pence: number }): boolean {
  return pence >= 200_00
}

/** By this id a reminder is called off. */
export function reminderId(invoice: string): string {
  return `reminder-${invoice}`
}

export type Receipt = z.infer<typeof Receipt>
export type Reminder = z.infer<typeof Reminder>
export type Push = z.infer<typeof Push>

export const notifications = context('notifications', {
  queues: {
    receipt: queue({
      data: Receipt,
      priority: ({ kind }) => (kind === 'refund' ? 10 : 0), // who waits for money back hears of it first
      retry: { attempts: 8 },
      deadline: '30s',
    }),
    reminder: queue({ data: Reminder }),
    push: queue({
      data: Push,
      ttl: '10m', // what comes later than that is no news
      group: ({ customer }) => customer, // a customer with many parcels does not hold up the others
      groupConcurrency: 1,
      rate: { count: 500, per: '1s' }, // what the push service takes from one sender
      retry: { attempts: 5 },
    }),
  },
})
