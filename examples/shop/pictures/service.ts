// The pictures service: draws a thumbnail for every range of products that somebody ordered from, once.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { orders } from '../orders/contract.ts'
import { isGoods, rangeOf } from '../products.ts'
import { deadLetter, service, sqliteDatabase } from '../spillway.ts'
import { pictures } from './contract.ts'
import { canDraw, draw } from './draw.ts'

function setup(db: DatabaseSync): void {
  db.exec('CREATE TABLE IF NOT EXISTS thumbnails (range TEXT PRIMARY KEY, png BLOB NOT NULL) STRICT')
}

function isDrawn(db: DatabaseSync, range: string): boolean {
  return db.prepare('SELECT 1 FROM thumbnails WHERE range = ?').get(range) !== undefined
}

export function picturesService(folder: string) {
  const database = sqliteDatabase(join(folder, 'pictures.sqlite'), { setup })
  return service(pictures, { database, lease: '5s', session: '5s' })
    .on(orders.events.placed, ({ data: { lines } }, { commit }) =>
      commit((tx) => {
        const goods = lines.filter(({ stockCode }) => isGoods(stockCode))
        for (const range of new Set(goods.map(({ stockCode }) => rangeOf(stockCode))))
          if (!isDrawn(tx.db, range)) tx.send(pictures.queues.thumbnail, { range })
      }),
    )
    .work(pictures.queues.thumbnail, async ({ data: { range } }, { commit }) => {
      if (!canDraw) return deadLetter('sharp is not there: install it, and redrive')
      const png = await draw(range) // first the work, then one short transaction
      return commit(({ db }) => db.prepare('INSERT OR IGNORE INTO thumbnails VALUES (?, ?)').run(range, png))
    })
}
