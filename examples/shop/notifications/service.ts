// The notifications service: turns payments into receipts, and mails them.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { type Payment, payments } from '../payments/contract.ts'
import { service, sqliteDatabase } from '../spillway.ts'
import { notifications, type Receipt } from './contract.ts'
import { mailer } from './mailer.ts'

function setup(db: DatabaseSync): void {
  db.exec('CREATE TABLE IF NOT EXISTS receipts (invoice TEXT PRIMARY KEY, mailed_to TEXT NOT NULL) STRICT')
}

function receiptOf(kind: Receipt['kind'], { invoice, customer, pence }: Payment): Receipt {
  const to = `${customer === null ? `guest-${invoice}` : `customer-${customer}`}@example.org`
  return { invoice, kind, to, pence }
}

export function notificationsService(folder: string, smtpUrl: string) {
  const { mail } = mailer(smtpUrl)
  const database = sqliteDatabase(join(folder, 'notifications.sqlite'), { setup })
  return service(notifications, { database, lease: '5s', session: '5s' })
    .on(payments.events.charged, ({ data }, { send }) =>
      send(notifications.queues.receipt, receiptOf('charge', data)),
    )
    .on(payments.events.refunded, ({ data }, { send }) =>
      send(notifications.queues.receipt, receiptOf('refund', data)),
    )
    .work(
      notifications.queues.receipt,
      async ({ data: receipt }, { commit }) => {
        await mail(receipt) // outside I/O first, while no transaction is open
        await commit(({ db }) => {
          db.prepare('INSERT OR IGNORE INTO receipts VALUES (?, ?)').run(receipt.invoice, receipt.to)
        })
      },
      { concurrency: 20 },
    )
}
