import { call, context, pointer } from 'spillway'
import { z } from 'zod'

const Order = z.object({
  orderId: z.string(),
  version: z.int(), // rises with every change
  address: z.string(),
  state: z.enum(['packed', 'shipped', 'delivered']),
})
export type Order = z.infer<typeof Order>

export const delivery = context('delivery', {
  events: {
    shipped: pointer({ key: 'orderId', fetch: 'getOrder' }), // says which order, and which version of it
  },
  calls: {
    getOrder: call({
      input: z.object({ orderId: z.string() }),
      output: Order,
      errors: { gone: z.object({ version: z.int() }) },
    }),
  },
})

export const notifications = context('notifications', {})
