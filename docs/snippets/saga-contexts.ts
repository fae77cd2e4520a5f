import { context, event, queue, saga, service } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

const Order = z.object({ invoice: z.string(), cents: z.int() })
const Paid = z.object({ invoice: z.string() })

export const orders = context('orders', {
  events: { placed: event({ data: Order, key: (order) => order.invoice }) },
})
export const stock = context('stock', {
  queues: { reserve: queue({ data: Order }), release: queue({ data: Order }) },
})
export const payments = context('payments', {
  events: { charged: event({ data: Paid, key: (paid) => paid.invoice }) },
  queues: { charge: queue({ data: Order }), refund: queue({ data: Order }) },
})
export const fulfilment = context('fulfilment', {
  events: { completed: event({ data: Paid, key: (paid) => paid.invoice }) },
})

/** What an order waits for, and what has to be undone when that does not come. */
export const process = saga('order', { state: z.object({ cents: z.int(), reminders: z.int() }) })
  .startedBy(orders.events.placed, { by: (order) => order.invoice }, (order, step) => {
    step.send(stock.queues.reserve, order)
    step.compensate('reserved', stock.queues.release, order)
    step.send(payments.queues.charge, order)
    step.timeout('payment', '2s')
    return { cents: order.cents, reminders: 0 }
  })
  .on(payments.events.charged, { by: (paid) => paid.invoice }, (_paid, _state, step) => {
    step.publish(fulfilment.events.completed, { invoice: step.id })
    return step.end()
  })
  .onTimeout('payment', (state, step) => {
    if (state.reminders < 1) {
      step.timeout('payment', '2s')
      return { ...state, reminders: state.reminders + 1 }
    }
    step.undo()
    return step.end()
  })

export const fulfilments = service(fulfilment, { database: sqliteDatabase('./fulfilment.db') }).saga(process)
