// Whether the shop has nothing left to do.
import { notifications } from '../notifications/contract.ts'
import { orders } from '../orders/contract.ts'
import { payments } from '../payments/contract.ts'
import type { Shop } from '../shop.ts'
import type { Context, QueueContract, Running, Service } from '../spillway.ts'

/**
 * Looks at every place where a message can be, in the order in which messages move through them: what left a place before
 * we looked there can only be further on, where we have yet to look. So one look is enough.
 */
export async function drained(running: Running, shop: Shop): Promise<boolean> {
  const places = [
    () => queueEmpty(running, orders.queues.intake),
    () => outboxEmpty(running, shop.orders),
    () => caughtUp(running, orders, shop.orders),
    () => caughtUp(running, orders, shop.payments),
    () => outboxEmpty(running, shop.payments),
    () => caughtUp(running, payments, shop.notifications),
    () => outboxEmpty(running, shop.notifications),
    () => queueEmpty(running, notifications.queues.receipt),
  ]
  for (const empty of places) if (!(await empty())) return false
  return true
}

/** No message waits, is being handled, or will be tried again. */
async function queueEmpty({ channels }: Running, { queue }: Pick<QueueContract, 'queue'>): Promise<boolean> {
  const { ready, delayed, leased } = await channels.queue(queue).count(queue)
  return ready + delayed + leased === 0
}

async function outboxEmpty<Db>(running: Running, service: Service<Db>): Promise<boolean> {
  const outbox = running.service(service).database?.outbox
  return outbox === undefined || (await outbox.count()).waiting === 0
}

/** The group of the service has finished everything that the stream of the context holds. */
async function caughtUp<Db>(
  { channels }: Running,
  of: Pick<Context, 'name'>,
  by: Service<Db>,
): Promise<boolean> {
  const port = channels.streamPort
  const bounds = await port.bounds(of.name)
  const committed = await port.committed(of.name, by.context.name)
  const positions = new Map(committed.map(({ partition, position }) => [partition, position]))
  return bounds.every(({ partition, earliest, next }) => (positions.get(partition) ?? earliest) >= next)
}
