// The notifications service: receipts by mail, news of a parcel by push, and reminders that are called off when the money comes.
import { join } from 'node:path'
import { delivery, type Parcel } from '../delivery/contract.ts'
import { type Payment, payments } from '../payments/contract.ts'
import { deadLetter, retry, service, sqliteDatabase } from '../spillway.ts'
import { notifications, type Push, type Receipt, reminderId, wantsReminder } from './contract.ts'
import { mailer } from './mailer.ts'
import { pusher, type Subscription } from './pusher.ts'
import { createTables, isGone, noteCalledOff, noteGone, noteMailed, notePushed } from './tables.ts'

export interface NotificationsOptions {
  readonly folder: string
  /** The mail server: 'smtp://host:port'. */
  readonly smtpUrl: string
  /** Where the phone of a customer takes pushes; undefined for one without the app. */
  readonly phoneOf: (customer: string) => Subscription | undefined
}

const { receipt, reminder, push } = notifications.queues

const patience = { after: '200ms', attempts: 100, reason: 'its reminder is not there yet' } as const

export function notificationsService({ folder, smtpUrl, phoneOf }: NotificationsOptions) {
  const database = sqliteDatabase(join(folder, 'notifications.sqlite'), { setup: createTables })
  const mails = mailer(smtpUrl)
  const pushes = pusher(join(folder, 'push-key.json'))
  return service(notifications, { database, lease: '5s', session: '5s' })
    .on(payments.events.charged, async ({ data }, { commit, cancel, attempt }) => {
      const { invoice } = data
      if (wantsReminder(data)) {
        const found = await cancel(reminder, reminderId(invoice))
        // It may still be in the outbox of the orders. After a crash it was cancelled before, and is never found.
        if (found === 'unknown' && attempt < patience.attempts) return retry(patience)
      }
      return commit((tx) => {
        if (wantsReminder(data)) noteCalledOff(tx.db, invoice)
        tx.send(receipt, receiptOf('charge', data))
      })
    })
    .on(payments.events.refunded, ({ data }, { send }) => send(receipt, receiptOf('refund', data)))
    .on(delivery.events.orderShipped, ({ current }, { commit }) => {
      if (current.state === 'gone') return undefined
      const parcel = current.value
      const { invoice, customer } = parcel
      return commit((tx) => {
        if (customer === null || !phoneOf(customer) || isGone(tx.db, customer)) return
        tx.send(push, { invoice, customer, text: newsOf(parcel) })
      })
    })
    .work(
      receipt,
      async ({ data }, { commit }) => {
        await mails.receipt(data) // outside I/O first, while no transaction is open
        await commit(({ db }) => noteMailed(db, data.invoice, data.to))
      },
      { concurrency: 20 },
    )
    .work(reminder, ({ data }) => mails.reminder(data, addressOf(data)))
    .work(
      push,
      async ({ data: { invoice, customer, text } }, { commit, signal }) => {
        const phone = phoneOf(customer)
        if (!phone) return undefined
        const answer = await pushes.push(phone, text, signal)
        // Each answer is a decision of its own, and none is an exception.
        switch (answer.kind) {
          case 'delivered':
            return commit(({ db }) => notePushed(db, invoice, customer))
          case 'gone':
            return commit(({ db }) => noteGone(db, customer))
          case 'later':
            return retry(answer)
          case 'refused':
            return deadLetter(answer.reason)
        }
      },
      { concurrency: 20 },
    )
}

function addressOf({ invoice, customer }: Pick<Payment, 'invoice' | 'customer'>): string {
  return `${customer === null ? `guest-${invoice}` : `customer-${customer}`}@example.org`
}

function receiptOf(kind: Receipt['kind'], payment: Payment): Receipt {
  return { invoice: payment.invoice, kind, to: addressOf(payment), pence: payment.pence }
}

function newsOf({ invoice, pieces, country }: Parcel): Push['text'] {
  return `Your order ${invoice} is on its way: ${pieces} pieces to ${country}.`
}
