// Checkout, orders and payments on PostgreSQL: the same contracts as in examples/shop, with databases whose transactions can wait.
import { accounting } from '../../../examples/shop/accounting/contract.ts'
import { checkout } from '../../../examples/shop/checkout/contract.ts'
import { inventory } from '../../../examples/shop/inventory/contract.ts'
import { notifications, reminderId, wantsReminder } from '../../../examples/shop/notifications/contract.ts'
import { assess } from '../../../examples/shop/orders/assess.ts'
import { type Order, orders } from '../../../examples/shop/orders/contract.ts'
import { payments } from '../../../examples/shop/payments/contract.ts'
import { wantedIn } from '../../../examples/shop/products.ts'
import { service } from '../../../src/index.ts'
import { changed, type Db, kept } from './kept.ts'

const timing = { lease: '5s', session: '5s' } as const

export function checkoutService(url: string) {
  const database = kept(url, 'checkout', ['promises (invoice text primary key, promise text not null)'])
  return service(checkout, { database }).answer(
    checkout.calls.handIn,
    async (invoice, { call, commit, key }) => {
      const asked = await call(inventory.calls.shortage, { lines: wantedIn(invoice) })
      const missing = asked.status === 'ok' ? asked.value.missing : undefined
      const promise = !missing ? 'none' : missing.length > 0 ? 'when it has come in' : 'at once'
      return commit(async (tx) => {
        const text =
          'insert into checkout.promises values ($1, $2) on conflict (invoice) do update set promise = $2'
        await tx.db.query(text, [invoice.number, promise])
        tx.send(orders.queues.intake, invoice, { id: key })
        return { promise } as const
      })
    },
  )
}

export function ordersService(url: string) {
  const database = kept(url, 'orders', [
    'invoices (number text primary key, row_count int not null)',
    'rejected_rows (invoice text, row int, reason text not null, primary key (invoice, row))',
    'orders (invoice text primary key, kind text not null, pence int not null)',
    'revenue (invoice text primary key, country text not null, pence int not null)',
  ])
  const enter = (db: Db, { invoice, country, pence }: Order) =>
    changed(db, 'insert into orders.revenue values ($1, $2, $3) on conflict do nothing', [
      invoice,
      country,
      pence,
    ])
  return service(orders, { database, ...timing })
    .work(
      orders.queues.intake,
      async ({ data: invoice }, { commit }) => {
        const { kind, order, rejected } = assess(invoice)
        await commit(async (tx) => {
          const taken = [invoice.number, invoice.rows.length]
          const takeIn = 'insert into orders.invoices values ($1, $2) on conflict do nothing'
          if (!(await changed(tx.db, takeIn, taken))) return
          for (const { row, reason } of rejected)
            await tx.db.query('insert into orders.rejected_rows values ($1, $2, $3)', [
              invoice.number,
              row,
              reason,
            ])
          if (!order) return
          const { customer, pence } = order
          await tx.db.query('insert into orders.orders values ($1, $2, $3)', [order.invoice, kind, pence])
          tx.publish(kind === 'order' ? orders.events.placed : orders.events.cancelled, order)
          if (kind === 'order' && wantsReminder(order))
            tx.send(
              notifications.queues.reminder,
              { invoice: order.invoice, customer, pence },
              { id: reminderId(order.invoice), delay: '14d' },
            )
        })
      },
      { concurrency: 10 },
    )
    .on(orders.events.placed, ({ data }, { commit }) => commit(({ db }) => enter(db, data)))
    .on(orders.events.cancelled, ({ data }, { commit }) => commit(({ db }) => enter(db, data)))
}

export function paymentsService(url: string) {
  const database = kept(url, 'payments', [
    'ledger (invoice text primary key, kind text not null, pence int not null)',
  ])
  const settle = 'insert into payments.ledger values ($1, $2, $3) on conflict do nothing'
  return service(payments, { database, ...timing })
    .on(orders.events.placed, ({ data: { invoice, customer, pence } }, { commit }) =>
      commit(async (tx) => {
        if (!(await changed(tx.db, settle, [invoice, 'charge', pence]))) return
        tx.send(accounting.queues.entries, { invoice, kind: 'charge', pence })
        tx.publish(payments.events.charged, { invoice, customer, pence })
      }),
    )
    .on(orders.events.cancelled, ({ data: { invoice, customer, pence } }, { commit }) =>
      commit(async (tx) => {
        if (!(await changed(tx.db, settle, [invoice, 'refund', -pence]))) return
        tx.send(accounting.queues.entries, { invoice, kind: 'refund', pence: -pence })
        tx.publish(payments.events.refunded, { invoice, customer, pence: -pence })
      }),
    )
}
