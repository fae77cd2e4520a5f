// What the orders context is to others: the queue that it works off, and the events that it publishes.
import { z } from 'zod'
import { context, event, queue } from '../spillway.ts'

/** One row of an invoice as somebody typed it. Whether it makes sense is for the orders context to say. */
const Row = z.object({
  stockCode: z.string(),
  description: z.string(),
  quantity: z.string(),
  date: z.string(),
  unitPrice: z.string(),
  customer: z.string(),
  country: z.string(),
})

export const Invoice = z.object({ number: z.string(), rows: z.array(Row) })

const Line = z.object({ stockCode: z.string(), description: z.string(), quantity: z.int(), pence: z.int() })

/** A sale, or the taking back of one: then its quantities and its pence are negative. */
const Order = z.object({
  invoice: z.string(),
  /** Null for a guest. */
  customer: z.string().nullable(),
  country: z.string(),
  date: z.string(),
  lines: z.array(Line),
  pence: z.int(),
})

export type Row = z.infer<typeof Row>
export type Invoice = z.infer<typeof Invoice>
export type Order = z.infer<typeof Order>

export const orders = context('orders', {
  queues: {
    intake: queue({ data: Invoice }),
    report: queue({ data: z.object({}) }),
  },
  events: {
    placed: event({ data: Order, key: (order) => order.invoice }),
    cancelled: event({ data: Order, key: (order) => order.invoice }),
  },
})
