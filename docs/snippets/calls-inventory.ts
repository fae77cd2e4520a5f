import type { DatabaseSync } from 'node:sqlite'
import { call, context, event, service } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { z } from 'zod'

const Order = z.object({ product: z.string(), pieces: z.int().positive() })

export const inventory = context('inventory', {
  events: { reserved: event({ data: Order, key: ({ product }) => product }) },
  calls: {
    // A query changes nothing: it may be asked as often as one likes.
    stockOf: call({
      input: z.object({ product: z.string() }),
      output: z.object({ pieces: z.int() }),
      errors: { unknownProduct: z.object({ product: z.string() }) },
    }),
    // A command does something, once for each idempotency key.
    reserve: call({
      kind: 'command',
      input: Order,
      output: z.object({ reservation: z.int() }),
      errors: { soldOut: z.object({ left: z.int() }) },
      deadline: '2s',
    }),
    // The next version of a call, answered beside the first for as long as somebody asks in it.
    reserveFor: call({
      name: 'reserve',
      version: 2,
      kind: 'command',
      input: Order.extend({ customer: z.string() }),
      output: z.object({ reservation: z.int() }),
      errors: { soldOut: z.object({ left: z.int() }) },
    }),
  },
})

export const inventoryService = (file: string) =>
  service(inventory, {
    database: sqliteDatabase(file, {
      setup: (db) =>
        db.exec(`CREATE TABLE IF NOT EXISTS stock (product TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
          CREATE TABLE IF NOT EXISTS reservation (number INTEGER PRIMARY KEY, product TEXT, pieces INTEGER, customer TEXT);
          INSERT OR IGNORE INTO stock VALUES ('bowl', 3)`),
    }),
  })
    .answer(inventory.calls.stockOf, ({ product }, { db, fail }) => {
      const pieces = piecesOf(db, product)
      return pieces === undefined ? fail('unknownProduct', { product }) : { pieces }
    })
    .answer(inventory.calls.reserve, (order, { commit, fail }) =>
      // One transaction: the effects, the event, the key and the answer.
      commit((tx) => {
        const left = piecesOf(tx.db, order.product) ?? 0
        if (left < order.pieces) return fail('soldOut', { left })
        tx.publish(inventory.events.reserved, order)
        return { reservation: take(tx.db, order, 'unknown') }
      }),
    )
    .answer(inventory.calls.reserveFor, (order, { commit, fail }) =>
      commit((tx) => {
        const left = piecesOf(tx.db, order.product) ?? 0
        return left < order.pieces
          ? fail('soldOut', { left })
          : { reservation: take(tx.db, order, order.customer) }
      }),
    )

function piecesOf(db: DatabaseSync, product: string): number | undefined {
  return db.prepare('SELECT pieces FROM stock WHERE product = ?').get(product)?.pieces as number | undefined
}

function take(db: DatabaseSync, { product, pieces }: z.infer<typeof Order>, customer: string): number {
  db.prepare('UPDATE stock SET pieces = pieces - ? WHERE product = ?').run(pieces, product)
  const insert = db.prepare('INSERT INTO reservation (product, pieces, customer) VALUES (?, ?, ?)')
  return Number(insert.run(product, pieces, customer).lastInsertRowid)
}
