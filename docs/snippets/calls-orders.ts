import { context, queue, service, value } from 'spillway'
import { z } from 'zod'
import { inventory } from './calls-inventory.ts'

const Order = z.object({ product: z.string(), pieces: z.int().positive() })
export const orders = context('orders', { queues: { place: queue({ data: Order }) } })

export const ordersService = service(orders).work(orders.queues.place, async ({ data }, { call }) => {
  const result = await call(inventory.calls.reserve, data)
  if (result.status === 'failed' && result.reason === 'soldOut') {
    console.log(`${data.product}: ${data.pieces} wanted, ${result.data.left} there`)
    return
  }
  // Throws where it failed otherwise, and where nobody knows: the message is tried again, and asks with the same key.
  const { reservation } = value(result)
  console.log(`${data.product}: reservation ${reservation}`)
})
