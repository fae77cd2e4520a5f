// What the checkout context is to others: the place where the web shop hands in an order, and hears when the goods will be there.
import { z } from 'zod'
import { Invoice } from '../orders/contract.ts'
import { call, context } from '../spillway.ts'

export const checkout = context('checkout', {
  calls: {
    // A command: handed in twice with one key, the order is taken once, and the second answer is the first one.
    handIn: call({
      kind: 'command',
      input: Invoice,
      output: z.object({
        /** 'none': the inventory could not be asked. */
        promise: z.enum(['at once', 'when it has come in', 'none']),
      }),
      deadline: '10s',
    }),
  },
})
