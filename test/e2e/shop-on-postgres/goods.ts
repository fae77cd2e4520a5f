// Inventory and delivery on PostgreSQL: the same contracts as in examples/shop, with databases whose transactions can wait.
import { delivery } from '../../../examples/shop/delivery/contract.ts'
import { inventory, type Restock } from '../../../examples/shop/inventory/contract.ts'
import { type Order, orders } from '../../../examples/shop/orders/contract.ts'
import { payments } from '../../../examples/shop/payments/contract.ts'
import { isGoods } from '../../../examples/shop/products.ts'
import { service, type Tx } from '../../../src/index.ts'
import { changed, type Db, kept } from './kept.ts'

const timing = { lease: '5s', session: '5s' } as const
const opening = 48
const { restock, complete } = inventory.queues

export function inventoryService(url: string) {
  const database = kept(url, 'inventory', [
    'stock (product text primary key, on_hand int not null, bought int not null default 0)',
    'reservations (invoice text primary key, customer text, country text not null)',
    'reserved_lines (invoice text, line int, product text not null, pieces int not null, missing int not null check (missing between 0 and pieces), primary key (invoice, line))',
    'returns (invoice text primary key, pieces int not null)',
  ])
  return service(inventory, { database, ...timing })
    .on(orders.events.placed, ({ data: order }, { commit }) =>
      commit(async (tx) => {
        const missing = await reserve(tx.db, order)
        if (!missing) return
        const after = missing.map((each) => tx.send(restock, each, { delay: '500ms' }))
        if (after.length > 0) tx.send(complete, { invoice: order.invoice }, { after })
        else tx.publish(inventory.events.reserved, await reservationOf(tx.db, order.invoice))
      }),
    )
    .on(orders.events.cancelled, ({ data: { invoice, lines } }, { commit }) => {
      const goods = lines.filter(({ stockCode }) => isGoods(stockCode))
      const pieces = goods.reduce((sum, { quantity }) => sum - quantity, 0)
      return commit(({ db }) =>
        changed(db, 'insert into inventory.returns values ($1, $2) on conflict do nothing', [
          invoice,
          pieces,
        ]),
      )
    })
    .answer(inventory.calls.shortage, async ({ lines }, { db }) => ({ missing: await shortage(db, lines) }))
    .answer(inventory.calls.shortageV1, async ({ lines }, { db }) => ({
      pieces: (await shortage(db, lines)).reduce((sum, { pieces }) => sum + pieces, 0),
    }))
    .work(restock, ({ data: { invoice, line, product, pieces } }, { commit }) =>
      commit(async ({ db }) => {
        const bring =
          'update inventory.stock set on_hand = on_hand + $1, bought = bought + $1 where product = $2'
        await db.query(bring, [pieces, product])
        const fill =
          'update inventory.reserved_lines set missing = missing - $1 where invoice = $2 and line = $3'
        await db.query(fill, [pieces, invoice, line])
      }),
    )
    .work(complete, ({ data: { invoice } }, { commit }) =>
      commit(async (tx) => {
        tx.publish(inventory.events.reserved, await reservationOf(tx.db, invoice))
      }),
    )
}

async function reserve(db: Db, order: Order): Promise<Restock[] | undefined> {
  const { invoice, customer, country } = order
  const note = 'insert into inventory.reservations values ($1, $2, $3) on conflict do nothing'
  if (!(await changed(db, note, [invoice, customer, country]))) return undefined
  const goods = order.lines
    .map(({ stockCode: product, quantity }, line) => ({ product, quantity, line }))
    .filter(({ product }) => isGoods(product))
    // Orders are reserved at the same time: rows that are always taken in one order cannot lock each other for ever.
    .sort((a, b) => (a.product < b.product ? -1 : 1))
  const restocks: Restock[] = []
  for (const { product, quantity, line } of goods) {
    const { rows } = await db.query<{ left: number }>(
      `insert into inventory.stock as s (product, on_hand) values ($1, ${opening} - $2::int)
       on conflict (product) do update set on_hand = s.on_hand - $2::int returning on_hand as left`,
      [product, quantity],
    )
    const missing = Math.min(quantity, Math.max(0, -rows[0]!.left))
    await db.query('insert into inventory.reserved_lines values ($1, $2, $3, $4, $5)', [
      invoice,
      line,
      product,
      quantity,
      missing,
    ])
    if (missing > 0) restocks.push({ invoice, line, product, pieces: missing })
  }
  return restocks
}

async function shortage(
  db: Db,
  lines: readonly { readonly product: string; readonly pieces: number }[],
): Promise<{ product: string; pieces: number }[]> {
  const wanted = new Map<string, number>()
  for (const { product, pieces } of lines)
    if (isGoods(product)) wanted.set(product, (wanted.get(product) ?? 0) + pieces)
  const { rows } = await db.query<{ product: string; on_hand: number }>(
    'select product, on_hand from inventory.stock where product = any($1)',
    [[...wanted.keys()]],
  )
  const left = new Map(rows.map(({ product, on_hand }) => [product, on_hand]))
  return [...wanted]
    .map(([product, pieces]) => ({
      product,
      pieces: pieces - Math.max(0, left.get(product) ?? opening),
    }))
    .filter(({ pieces }) => pieces > 0)
}

async function reservationOf(db: Db, invoice: string) {
  const { rows } = await db.query<{
    invoice: string
    customer: string | null
    country: string
    pieces: number
  }>(
    `select r.invoice, customer, country, coalesce(sum(pieces), 0)::int as pieces
     from inventory.reservations r left join inventory.reserved_lines l on l.invoice = r.invoice
     where r.invoice = $1 group by r.invoice having coalesce(sum(missing), 0) = 0`,
    [invoice],
  )
  if (!rows[0]) throw new Error(`order ${invoice} is not complete`)
  return rows[0]
}

const parcel = 'version, invoice, customer, country, pieces'

interface Parcel {
  readonly version: number
  readonly invoice: string
  readonly customer: string | null
  readonly country: string
  readonly pieces: number
}

export function deliveryService(url: string) {
  const database = kept(url, 'delivery', [
    'parcels (invoice text primary key, paid int not null default 0, shipped int not null default 0, customer text, country text, pieces int, version int not null default 0)',
    'addresses (invoice text primary key, country text not null)',
  ])
  return service(delivery, { database, ...timing })
    .answer(delivery.calls.getParcel, async ({ invoice }, { db, fail }) => {
      const text = `select ${parcel} from delivery.parcels where invoice = $1 and shipped = 1`
      const { rows } = await db.query<Parcel>(text, [invoice])
      return rows[0] ?? fail('gone', { invoice })
    })
    .on(payments.events.charged, ({ data: { invoice } }, { commit }) =>
      commit(async (tx) => {
        await tx.db.query(
          'insert into delivery.parcels (invoice, paid) values ($1, 1) on conflict (invoice) do update set paid = 1',
          [invoice],
        )
        await shipIfReady(tx, invoice)
      }),
    )
    .on(
      inventory.events.reserved,
      ({ data: { invoice, customer, country, pieces } }, { commit }) =>
        commit(async (tx) => {
          const asked = 'select country from delivery.addresses where invoice = $1'
          const { rows } = await tx.db.query<{ country: string }>(asked, [invoice])
          const to = rows[0]?.country ?? country
          if (to === 'Unspecified') throw new Error(`invoice ${invoice} has no country to deliver to`)
          await tx.db.query(
            `insert into delivery.parcels (invoice, customer, country, pieces) values ($1, $2, $3, $4)
             on conflict (invoice) do update set customer = $2, country = $3, pieces = $4`,
            [invoice, customer, to, pieces],
          )
          await shipIfReady(tx, invoice)
        }),
      { onFailure: 'park', retry: { attempts: 1 } },
    )
}

async function shipIfReady(tx: Tx<Db>, invoice: string): Promise<void> {
  const { rows } = await tx.db.query<Parcel>(
    `update delivery.parcels set shipped = 1, version = version + 1
     where invoice = $1 and paid = 1 and pieces > 0 and shipped = 0 returning ${parcel}`,
    [invoice],
  )
  if (rows[0]) tx.publish(delivery.events.orderShipped, { invoice, version: rows[0].version })
}
