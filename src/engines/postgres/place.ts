// Where a connection leads: whether a service's database is the one in which an engine keeps its queues and streams.
import type { PgLink, PgResult } from './client.ts'
import { sqlState, translate } from './errors.ts'

/** The same for every connection to one database of one running server, whatever its url; another one after a restart. */
const placeQuery = `select concat_ws(' ', oid, extract(epoch from pg_postmaster_start_time()),
  (select system_identifier from pg_control_system())) as place
from pg_database where datname = current_database()`

export async function placeOf(link: PgLink): Promise<string> {
  return ((await link.query(placeQuery)) as PgResult<{ place: string }>).rows[0]!.place
}

export interface Home {
  readonly place: string
  /** A statement that stores nothing, and fails for who may not store. */
  readonly trial: string
}

export interface HomeOptions {
  readonly place: string
  /** Quoted. */
  readonly schema: string
  /** The number of a queue or stream that is known, and known to be one whose rows a transaction may store: without rules, or without versions. */
  readonly plain: (name: string) => number | undefined
  /** After the commit: who waits for the queue or stream can look. */
  readonly stored: (number: number) => void
}

/** Whether what is kept in `home` can be written through the link. */
export async function isWithin(link: PgLink, { place, trial }: Home): Promise<boolean> {
  try {
    if ((await placeOf(link)) !== place) return false
    await link.query(trial)
    return true
  } catch (thrown) {
    // Another user's tables, mostly.
    if (sqlState(thrown)?.startsWith('42')) return false
    throw translate(thrown)
  }
}
