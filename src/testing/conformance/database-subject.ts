// What the cases of the database port are run against: databases with one table of the test's own.
import type { Database } from '../../ports/database.ts'
import type { Need, Subject } from './case.ts'

/** How the one who certifies a database lets the cases at it. */
export interface DatabaseAccess<Db = unknown> {
  readonly driver: 'synchronous' | 'asynchronous'
  /** Makes an empty database (or schema) with the test's table in it. */
  create(): Promise<TestDatabase<Db>>
}

export interface TestDatabase<Db = unknown> {
  /** Opens another, independent handle on the same database, as another process would. */
  open(service: string): Promise<Database<Db>>
  /**
   * Adds a row to the test's table by the handle that effects are given; fails, as the driver fails, when there is one with
   * that id. A promise with an asynchronous driver.
   */
  insert(db: Db, id: string): unknown
  /** How many committed rows there are whose ids begin with `prefix`; called with `database.db`. */
  count(db: Db, prefix: string): Promise<number>
  /** Removes it with everything in it. Every handle was closed. */
  remove(): Promise<void>
}

/** The name of the service that the cases play. */
export const service = 'conformance'

export interface DatabaseSubject extends Subject {
  readonly driver: 'synchronous' | 'asynchronous'
  /** One database for all cases that can share it. A case never closes its handles. */
  readonly shared: OpenDatabase
  /** A database for a case alone. */
  create(): Promise<OpenDatabase>
  close(): Promise<void>
}

/** A database with two handles on it. */
export interface OpenDatabase {
  readonly test: TestDatabase
  readonly one: Database<unknown>
  readonly two: Database<unknown>
}

export async function databaseSubject(access: DatabaseAccess): Promise<DatabaseSubject> {
  const opened: OpenDatabase[] = []
  const create = async (): Promise<OpenDatabase> => {
    const test = await access.create()
    const database = { test, one: await test.open(service), two: await test.open(service) }
    opened.push(database)
    return database
  }
  return {
    driver: access.driver,
    shared: await create(),
    create,
    lacks: (need) => lacks(access.driver, need),
    async close() {
      for (const { test, one, two } of opened) {
        await Promise.all([one.close(), two.close()])
        await test.remove()
      }
    },
  }
}

function lacks(driver: DatabaseAccess['driver'], need: Need): string | undefined {
  if (need === 'synchronous driver' || need === 'asynchronous driver')
    return need.startsWith(driver) ? undefined : `the driver of this database is ${driver}`
  return need === 'shared storage' ? undefined : 'a database is no engine'
}
