// What the notifications context is to others: a queue of receipts to be mailed. It publishes nothing.
import { z } from 'zod'
import { context, queue } from '../spillway.ts'

const Receipt = z.object({
  invoice: z.string(),
  kind: z.enum(['charge', 'refund']),
  to: z.email(),
  pence: z.int().nonnegative(),
})

export type Receipt = z.infer<typeof Receipt>

export const notifications = context('notifications', {
  queues: {
    receipt: queue({ data: Receipt, retry: { attempts: 8 }, deadline: '30s' }),
  },
})
