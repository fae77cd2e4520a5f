// The nightly report: what the shop had taken by the end of the day, kept for those who ask in the morning.
import type { DatabaseSync } from 'node:sqlite'

/** Every night at three, by the clock on the wall. Nights that were slept through, in an outage, are one report. */
export const nightly = { cron: '0 3 * * *', timeZone: 'Europe/London', missed: 'once' } as const

export function createReports(db: DatabaseSync): void {
  db.exec(`CREATE TABLE IF NOT EXISTS reports
    (due TEXT PRIMARY KEY, orders INTEGER NOT NULL, pence INTEGER NOT NULL) STRICT`)
}

/** Reports on what is there now. Once for each night: who comes twice changes nothing. */
export function report(db: DatabaseSync, due: string): void {
  db.prepare('INSERT OR IGNORE INTO reports SELECT ?, count(*), coalesce(sum(pence), 0) FROM revenue').run(
    due,
  )
}
