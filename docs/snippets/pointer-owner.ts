import { service } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { delivery, type Order } from './pointer-contract.ts'

export const deliveryService = service(delivery, {
  database: sqliteDatabase('./data/delivery.db', {
    setup: (db) =>
      db.exec(`CREATE TABLE IF NOT EXISTS "order"
        (orderId TEXT PRIMARY KEY, version INTEGER, address TEXT, state TEXT, erased INTEGER DEFAULT 0)`),
  }),
}).answer(delivery.calls.getOrder, ({ orderId }, { db, fail }) => {
  const row = db.prepare('SELECT * FROM "order" WHERE orderId = ?').get(orderId)
  if (!row || row.erased) return fail('gone', { version: Number(row?.version ?? 0) })
  return row as unknown as Order
})
