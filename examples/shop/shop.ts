// The business topology: three bounded contexts, each with a database of its own, wired together by their contracts.
import { join } from 'node:path'
import { notificationsService } from './notifications/service.ts'
import { ordersService } from './orders/service.ts'
import { paymentsService } from './payments/service.ts'
import { topology } from './spillway.ts'

export interface ShopOptions {
  /** Where the databases of the services are. */
  readonly folder: string
  /** The mail server: 'smtp://host:port'. */
  readonly smtpUrl: string
  /** Where queues and streams are. Default: SQLite in the same folder. */
  readonly engine?: string | undefined
  /** Where streams are, if elsewhere. */
  readonly streams?: string | undefined
}

export function shop({ folder, smtpUrl, engine, streams }: ShopOptions) {
  const orders = ordersService(folder)
  const payments = paymentsService(folder)
  const notifications = notificationsService(folder, smtpUrl)
  return {
    orders,
    payments,
    notifications,
    topology: topology({
      contexts: [orders, payments, notifications],
      engine: engine ?? `sqlite:${join(folder, 'spillway')}`,
      ...(streams === undefined ? {} : { streams }),
    }),
  }
}

export type Shop = ReturnType<typeof shop>
