// The databases of services, for those who look: opening one would make the tables of a service that was never there.
import type { Database, DatabaseSource } from '../ports/database.ts'

/** Undefined where the service has no tables. */
export async function openExisting(
  source: DatabaseSource<unknown>,
  service: string,
): Promise<Database<unknown> | undefined> {
  const found = await source.find?.(service)
  return found?.isThere === false ? undefined : source.open(service)
}
