// What the shop has done, asked of the services' own tables and of the streams.
import type { DatabaseSync } from 'node:sqlite'
import { delivery } from '../delivery/contract.ts'
import { inventory } from '../inventory/contract.ts'
import { correctedPieces, openCorrections } from '../inventory/corrections.ts'
import { notifications } from '../notifications/contract.ts'
import { orders } from '../orders/contract.ts'
import { payments } from '../payments/contract.ts'
import { pictures } from '../pictures/contract.ts'
import type { Shop } from '../shop.ts'
import { type Message, open, type Running, type Service } from '../spillway.ts'

export interface Totals {
  readonly orders: number
  readonly cancellations: number
  readonly rejectedLines: Readonly<Record<string, number>>
  /** In pounds, cancellations taken off. */
  readonly revenueByCountry: Readonly<Record<string, number>>
  /** In pieces: set aside for orders, bought for want of stock, brought back, found, lost. */
  readonly stock: Readonly<Record<'reserved' | 'bought' | 'returned' | 'found' | 'lost', number>>
  readonly shipped: { readonly parcels: number; readonly pieces: number }
  /** Reminders that the payment came before. */
  readonly calledOff: number
  readonly events: Readonly<Record<string, number>>
  readonly handled: Readonly<Record<string, number>>
  readonly deadLetters: number
}

export async function totals(running: Running, shop: Shop): Promise<Totals> {
  const of = databaseIn(running)
  const kinds = pairs(of(shop.orders), 'SELECT kind, count(*) FROM orders GROUP BY kind')
  const pence = pairs(of(shop.orders), 'SELECT country, pence FROM revenue_by_country')
  return {
    orders: kinds.order ?? 0,
    cancellations: kinds.cancellation ?? 0,
    rejectedLines: pairs(
      of(shop.orders),
      'SELECT reason, count(*) FROM rejected_rows GROUP BY reason ORDER BY 2 DESC',
    ),
    revenueByCountry: Object.fromEntries(Object.entries(pence).map(([country, sum]) => [country, sum / 100])),
    stock: {
      reserved: sum(of(shop.inventory), 'reserved_lines', 'pieces - missing'),
      bought: sum(of(shop.inventory), 'stock', 'bought'),
      returned: sum(of(shop.inventory), 'returns', 'pieces'),
      ...(await correctedPieces(await openCorrections(await open(running.engines[0]!)))),
    },
    shipped: {
      parcels: sum(of(shop.delivery), 'parcels', 'shipped'),
      pieces: sum(of(shop.delivery), 'parcels', 'shipped * coalesce(pieces, 0)'),
    },
    calledOff: count(of(shop.notifications), 'reminders_called_off'),
    events: await countEvents(running),
    handled: {
      [orders.queues.intake.queue]: count(of(shop.orders), 'invoices'),
      [notifications.queues.receipt.queue]: count(of(shop.notifications), 'receipts'),
      [notifications.queues.push.queue]: count(of(shop.notifications), 'pushes'),
      [pictures.queues.thumbnail.queue]: count(of(shop.pictures), 'thumbnails'),
    },
    deadLetters: await countDead(running, shop),
  }
}

/** The numbers that show how far the shop is. */
export function progress(running: Running, shop: Shop) {
  const of = databaseIn(running)
  return {
    takenIn: count(of(shop.orders), 'invoices'),
    mailed: count(of(shop.notifications), 'receipts'),
    shipped: sum(of(shop.delivery), 'parcels', 'shipped'),
  }
}

const databaseIn = (running: Running) => (service: Service<DatabaseSync>) =>
  running.service(service).database!.db

function count(db: DatabaseSync, table: string): number {
  return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n)
}

function sum(db: DatabaseSync, table: string, what: string): number {
  return Number(db.prepare(`SELECT coalesce(sum(${what}), 0) AS n FROM ${table}`).get()!.n)
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
  const note = ({ type, data }: Pick<Message<{ readonly invoice: string }>, 'type' | 'data'>) =>
    invoices.get(type)?.add(data.invoice)
  for (const { events } of [orders, payments, inventory, delivery])
    for (const { type } of Object.values(events)) invoices.set(type, new Set())
  await running.replay(orders, { placed: note, cancelled: note })
  await running.replay(payments, { charged: note, refunded: note })
  await running.replay(inventory, { reserved: note })
  await running.replay(delivery, { orderShipped: note })
  return Object.fromEntries([...invoices].map(([type, { size }]) => [type, size]))
}

/** Messages that could not be handled, events that could not be read or wait for a person, and what no relay could send. */
async function countDead(running: Running, shop: Shop): Promise<number> {
  const { topology: _, ...services } = shop
  let dead = 0
  for (const service of Object.values(services)) {
    const { database } = running.service(service)
    for (const { queue } of service.works) dead += (await running.queue(queue).count()).dead
    const streams = new Set(service.reactions.map(({ event }) => event.stream))
    for (const name of streams) {
      dead += (await running.service(service).group({ name }).parked()).length
      for (const { earliest, next } of await running.channels.streamPort.bounds(
        `${name}.dead.${service.context.name}`,
      ))
        dead += next - earliest
    }
    dead += (await database!.outbox.count()).setAside
  }
  return dead
}
