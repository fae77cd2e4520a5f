// What the shop has done, asked of the services' own tables and of the streams.
import type { DatabaseSync } from 'node:sqlite'
import { notifications } from '../notifications/contract.ts'
import { orders } from '../orders/contract.ts'
import { payments } from '../payments/contract.ts'
import type { Shop } from '../shop.ts'
import type { Message, Running } from '../spillway.ts'

export interface Totals {
  readonly orders: number
  readonly cancellations: number
  readonly rejectedLines: Readonly<Record<string, number>>
  /** In pounds, cancellations taken off. */
  readonly revenueByCountry: Readonly<Record<string, number>>
  readonly events: Readonly<Record<string, number>>
  readonly handled: Readonly<Record<string, number>>
  readonly deadLetters: number
}

export async function totals(running: Running, shop: Shop): Promise<Totals> {
  const [intake, mailing] = [orders.queues.intake.queue, notifications.queues.receipt.queue]
  const inOrders = running.service(shop.orders).database!.db
  const inNotifications = running.service(shop.notifications).database!.db
  const kinds = pairs(inOrders, 'SELECT kind, count(*) FROM orders GROUP BY kind')
  const pence = pairs(inOrders, 'SELECT country, pence FROM revenue_by_country')
  return {
    orders: kinds.order ?? 0,
    cancellations: kinds.cancellation ?? 0,
    rejectedLines: pairs(
      inOrders,
      'SELECT reason, count(*) FROM rejected_rows GROUP BY reason ORDER BY 2 DESC',
    ),
    revenueByCountry: Object.fromEntries(Object.entries(pence).map(([country, sum]) => [country, sum / 100])),
    events: await countEvents(running),
    handled: {
      [intake]: count(inOrders, 'invoices'),
      [mailing]: count(inNotifications, 'receipts'),
    },
    deadLetters: await countDead(running, shop),
  }
}

/** The two numbers that show how far the shop is. */
export function progress(running: Running, shop: Shop) {
  return {
    takenIn: count(running.service(shop.orders).database!.db, 'invoices'),
    mailed: count(running.service(shop.notifications).database!.db, 'receipts'),
  }
}

function count(db: DatabaseSync, table: string): number {
  return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n)
}

/** The rows of a query of two columns, as an object. */
function pairs(db: DatabaseSync, query: string): Record<string, number> {
  const rows = db
    .prepare(query)
    .all()
    .map((row) => Object.values(row) as [string, number])
  return Object.fromEntries(rows)
}

/** By the invoices that they are about: an invoice that was sent again from an empty folder has its events twice. */
async function countEvents(running: Running): Promise<Record<string, number>> {
  const invoices = new Map<string, Set<string>>()
  for (const { type } of [...Object.values(orders.events), ...Object.values(payments.events)])
    invoices.set(type, new Set())
  const note = ({ type, data }: Pick<Message<{ readonly invoice: string }>, 'type' | 'data'>) =>
    invoices.get(type)?.add(data.invoice)
  await running.replay(orders, { placed: note, cancelled: note })
  await running.replay(payments, { charged: note, refunded: note })
  return Object.fromEntries([...invoices].map(([type, { size }]) => [type, size]))
}

/** Messages that could not be handled, events that could not be read, and what no relay could send. */
async function countDead(running: Running, shop: Shop): Promise<number> {
  const { channels } = running
  let dead = 0
  for (const queue of [running.queue(orders.queues.intake), running.queue(notifications.queues.receipt)])
    dead += (await queue.count()).dead
  for (const stream of ['orders.dead.orders', 'orders.dead.payments', 'payments.dead.notifications'])
    for (const { earliest, next } of await channels.streamPort.bounds(stream)) dead += next - earliest
  for (const service of [shop.orders, shop.payments, shop.notifications])
    dead += (await running.service(service).database!.outbox.count()).setAside
  return dead
}
