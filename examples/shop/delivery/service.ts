// The delivery service: joins two streams. An order is shipped when it is paid and all of it lies ready, whichever comes first.
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { inventory } from '../inventory/contract.ts'
import { payments } from '../payments/contract.ts'
import { service, sqliteDatabase, type Tx } from '../spillway.ts'
import { delivery } from './contract.ts'
import { createTables, notePaid, noteReserved, parcelOf, ship } from './tables.ts'

function shipIfReady(tx: Tx<DatabaseSync>, invoice: string): void {
  const parcel = ship(tx.db, invoice)
  if (parcel) tx.publish(delivery.events.orderShipped, { invoice, version: parcel.version })
}

export function deliveryService(folder: string) {
  const database = sqliteDatabase(join(folder, 'delivery.sqlite'), { setup: createTables })
  return service(delivery, { database, lease: '5s', session: '5s' })
    .answer(
      delivery.calls.getParcel,
      ({ invoice }, { db, fail }) => parcelOf(db, invoice) ?? fail('gone', { invoice }),
    )
    .on(payments.events.charged, ({ data: { invoice } }, { commit }) =>
      commit((tx) => {
        notePaid(tx.db, invoice)
        shipIfReady(tx, invoice)
      }),
    )
    .on(
      inventory.events.reserved,
      ({ data: reservation }, { commit }) =>
        commit((tx) => {
          noteReserved(tx.db, reservation)
          shipIfReady(tx, reservation.invoice)
        }),
      // Without an address only a person can help: the order waits apart, and holds up no other.
      { onFailure: 'park', retry: { attempts: 1 } },
    )
}
