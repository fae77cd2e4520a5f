// The tables of the delivery context: parcels in the making, and addresses that somebody had to ask for.
import type { DatabaseSync } from 'node:sqlite'
import type { Reservation } from '../inventory/contract.ts'
import type { Parcel } from './contract.ts'

export function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS parcels (
      invoice TEXT PRIMARY KEY, paid INTEGER NOT NULL DEFAULT 0, shipped INTEGER NOT NULL DEFAULT 0,
      customer TEXT, country TEXT, pieces INTEGER, version INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS addresses (invoice TEXT PRIMARY KEY, country TEXT NOT NULL) STRICT;
  `)
}

export function notePaid(db: DatabaseSync, invoice: string): void {
  db.prepare(
    'INSERT INTO parcels (invoice, paid) VALUES (?, 1) ON CONFLICT (invoice) DO UPDATE SET paid = 1',
  ).run(invoice)
}

/** Throws when nobody knows where the parcel is to go. */
export function noteReserved(db: DatabaseSync, { invoice, customer, country, pieces }: Reservation): void {
  const asked = db.prepare('SELECT country FROM addresses WHERE invoice = ?').get(invoice)?.country
  const to = asked ?? country
  if (to === 'Unspecified') throw new Error(`invoice ${invoice} has no country to deliver to`)
  db.prepare(
    `INSERT INTO parcels (invoice, customer, country, pieces) VALUES (?, ?, ?, ?)
     ON CONFLICT (invoice) DO UPDATE SET customer = ?2, country = ?3, pieces = ?4`,
  ).run(invoice, customer, to, pieces)
}

/** What the customer said when somebody asked. */
export function noteAddress(db: DatabaseSync, invoice: string, country: string): void {
  db.prepare('INSERT OR REPLACE INTO addresses VALUES (?, ?)').run(invoice, country)
}

/** The parcel, when it is paid, all of it lies ready, and it has not left yet. */
export function ship(db: DatabaseSync, invoice: string): Parcel | undefined {
  const shipped = db
    .prepare(
      `UPDATE parcels SET shipped = 1, version = max(version + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER))
       WHERE invoice = ? AND paid = 1 AND pieces > 0 AND shipped = 0
       RETURNING version, invoice, customer, country, pieces`,
    )
    .get(invoice)
  return shipped as Parcel | undefined
}

/** What is known of a parcel that left. */
export function parcelOf(db: DatabaseSync, invoice: string): Parcel | undefined {
  const parcel = db
    .prepare(
      'SELECT version, invoice, customer, country, pieces FROM parcels WHERE invoice = ? AND shipped = 1',
    )
    .get(invoice)
  return parcel as Parcel | undefined
}
