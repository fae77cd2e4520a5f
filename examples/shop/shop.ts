// The business topology: seven services at work, each with a database of its own, and a context without one, wired together by their contracts.
import { join } from 'node:path'
import { accounting } from './accounting/contract.ts'
import { checkoutService } from './checkout/service.ts'
import { deliveryService } from './delivery/service.ts'
import { inventoryService } from './inventory/service.ts'
import { type NotificationsOptions, notificationsService } from './notifications/service.ts'
import { ordersService } from './orders/service.ts'
import { paymentsService } from './payments/service.ts'
import { picturesService } from './pictures/service.ts'
import { topology } from './spillway.ts'

export interface ShopOptions extends NotificationsOptions {
  /** Where the databases of the services are. */
  readonly folder: string
  /** Where queues and streams are. Default: SQLite in the same folder. */
  readonly engine?: string | undefined
  /** Where streams are, if elsewhere. */
  readonly streams?: string | undefined
  /** Where services are asked that run in other processes, by context. */
  readonly addresses?: Readonly<Record<string, readonly string[]>> | undefined
}

export function shop(options: ShopOptions) {
  const { folder, engine, streams, addresses } = options
  const services = {
    checkout: checkoutService(folder),
    orders: ordersService(folder),
    payments: paymentsService(folder),
    inventory: inventoryService(folder),
    delivery: deliveryService(folder),
    notifications: notificationsService(options),
    pictures: picturesService(folder),
  }
  return {
    ...services,
    topology: topology({
      contexts: [...Object.values(services), accounting],
      engine: engine ?? `sqlite:${join(folder, 'spillway')}`,
      ...(streams === undefined ? {} : { streams }),
      ...(addresses === undefined ? {} : { addresses }),
    }),
  }
}

export type Shop = ReturnType<typeof shop>
