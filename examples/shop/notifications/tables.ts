// The tables of the notifications context: what was mailed and pushed, and to whom nothing can be pushed any more.
import type { DatabaseSync } from 'node:sqlite'

export function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE IF NOT EXISTS receipts (invoice TEXT PRIMARY KEY, mailed_to TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS pushes (invoice TEXT PRIMARY KEY, customer TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS reminders_called_off (invoice TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS gone_phones (customer TEXT PRIMARY KEY) STRICT;
  `)
}

export function noteMailed(db: DatabaseSync, invoice: string, to: string): void {
  db.prepare('INSERT OR IGNORE INTO receipts VALUES (?, ?)').run(invoice, to)
}

export function noteCalledOff(db: DatabaseSync, invoice: string): void {
  db.prepare('INSERT OR IGNORE INTO reminders_called_off VALUES (?)').run(invoice)
}

export function notePushed(db: DatabaseSync, invoice: string, customer: string): void {
  db.prepare('INSERT OR IGNORE INTO pushes VALUES (?, ?)').run(invoice, customer)
}

export function noteGone(db: DatabaseSync, customer: string): void {
  db.prepare('INSERT OR IGNORE INTO gone_phones VALUES (?)').run(customer)
}

export function isGone(db: DatabaseSync, customer: string): boolean {
  return db.prepare('SELECT 1 FROM gone_phones WHERE customer = ?').get(customer) !== undefined
}
