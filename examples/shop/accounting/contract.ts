// What the accounting context is to others: a queue of entries for the books. No service works it off: the bookkeeper comes at night.
import { z } from 'zod'
import { context, queue } from '../spillway.ts'

const Entry = z.object({
  invoice: z.string(),
  kind: z.enum(['charge', 'refund']),
  pence: z.int().nonnegative(),
})

export type Entry = z.infer<typeof Entry>

export const accounting = context('accounting', {
  queues: {
    entries: queue({ data: Entry }),
  },
})
