// What the cases of the database port are run against: databases with one table of the test's own.
import type { Database } from '../../ports/database.ts'
import type { Engine } from '../../ports/engine.ts'
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
  /**
   * A connection of the user's own to the same database. Without it transactions of the user's are said to be missing, as they
   * are where a transaction is one function call.
   */
  connect?(): Promise<UserConnection>
  /** Opens an engine whose streams are in this very database. Without it they are said to be elsewhere. */
  openEngine?(): Promise<Engine>
  /** Removes it with everything in it. The handles of the subject were closed. */
  remove(): Promise<void>
}

/** What a user works with beside Spillway: disposing of it ends an open transaction without a commit. */
export interface UserConnection extends AsyncDisposable {
  /** What `join` is given. */
  readonly tx: unknown
  begin(): Promise<void>
  end(how: 'commit' | 'rollback'): Promise<void>
  /** Adds a row to the test's table. */
  insert(id: string): unknown
}

/** The name of the service that the cases play. */
export const service = 'conformance'

export interface DatabaseSubject extends Subject {
  readonly driver: 'synchronous' | 'asynchronous'
  /** One database for all cases that can share it. A case never closes its handles. */
  readonly shared: OpenDatabase
  /** A database for a case alone, which disposes of it. */
  create(): Promise<OwnDatabase>
  close(): Promise<void>
}

/** A database with two handles on it, shared by the cases. */
export interface OpenDatabase {
  readonly test: TestDatabase
  readonly one: Database<unknown>
  readonly two: Database<unknown>
}

/** A database of a case alone: closed and removed with the case. */
export interface OwnDatabase extends OpenDatabase, AsyncDisposable {}

export async function databaseSubject(access: DatabaseAccess): Promise<DatabaseSubject> {
  const shared = await create(access)
  return {
    driver: access.driver,
    shared,
    create: () => create(access),
    lacks(need) {
      if (need === 'transactions of the user')
        return shared.test.connect ? undefined : 'a user of this database cannot have a transaction open'
      if (need === 'streams in the database')
        return shared.test.openEngine
          ? undefined
          : 'the streams of an engine are not kept in the database of a service'
      return lacks(access.driver, need)
    },
    async close() {
      await shared[Symbol.asyncDispose]()
    },
  }
}

async function create(access: DatabaseAccess): Promise<OwnDatabase> {
  const test = await access.create()
  const one = await test.open(service)
  const two = await test.open(service)
  return {
    test,
    one,
    two,
    async [Symbol.asyncDispose]() {
      await Promise.all([one.close(), two.close()])
      await test.remove()
    },
  }
}

function lacks(driver: DatabaseAccess['driver'], need: Need): string | undefined {
  if (need === 'synchronous driver' || need === 'asynchronous driver')
    return need.startsWith(driver) ? undefined : `the driver of this database is ${driver}`
  return need === 'shared storage' ? undefined : 'a database is no engine'
}
