// Opens an SQLite file: looks at it before anything is changed, sets the pragmas, runs the numbered migrations.
// For the engine's own file, and for a service's database in which Spillway has only some tables.
import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { SpillwayError } from '../../core/errors.ts'
import { isBusy, isReadOnly, translate } from './native-error.ts'

export interface FileSchema {
  /** SQL scripts; number n (from 1) brings the schema from version n - 1 to n. Never edited once released. */
  readonly migrations: readonly string[]
  /**
   * A number: the file is ours alone, marked by this application_id, its version in user_version.
   * A string: the file belongs to someone else, the version is kept in the table of this name.
   */
  readonly version: number | string
}

export interface OpenFileOptions {
  /** 'full': fsync at every commit. 'normal': a power failure forgets the last commits. 'off': leave it to the operating system. */
  readonly synchronous: 'full' | 'normal' | 'off'
  /** How long to wait for locks of other processes: while opening, and then in each statement of the handle. */
  readonly openTimeoutMs: number
  readonly busyTimeoutMs: number
  /** Only for a file that does not exist yet. */
  readonly pageSize?: number
  /** Pages in the write-ahead log at which a commit copies it back. */
  readonly checkpointPages?: number
}

const walKeptBytes = 48 * 1024 * 1024

/**
 * A handle in WAL mode on the migrated file; creates the file (not its folder). Several processes may do this at once.
 * STORE_CORRUPT and STORE_FROM_FUTURE come before anything in the file is changed.
 */
export function openFile(path: string, schema: FileSchema, options: OpenFileOptions): DatabaseSync {
  return untilFree(path, options.openTimeoutMs, () => {
    // Refuses what is damaged, foreign or from a newer version.
    lookInto(path, (db) => checkVersion(db, path, schema))
    const db = new DatabaseSync(path, { timeout: options.busyTimeoutMs })
    try {
      applyPragmas(db, options)
      migrate(db, path, schema)
      return db
    } catch (thrown) {
      db.close()
      throw thrown
    }
  })
}

/** Runs `attempt` until it is not refused because of somebody's lock; what it throws at last is translated. */
function untilFree<T>(path: string, timeoutMs: number, attempt: () => T): T {
  const start = performance.now()
  for (;;) {
    try {
      return attempt()
    } catch (thrown) {
      if (!isBusy(thrown) || performance.now() - start > timeoutMs) throw translate(thrown, path)
      pause(1 + Math.random() * 4)
    }
  }
}

const pauseCell = new Int32Array(new SharedArrayBuffer(4))

/** Blocks this thread. Only for threads that serve nothing else, and for moments at the start. */
export function pause(ms: number): void {
  Atomics.wait(pauseCell, 0, 0, ms)
}

/** Reads the file without changing it; undefined where there is none, or nothing in it. */
export function lookInto<T>(path: string, read: (db: DatabaseSync) => T): T | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return undefined
  try {
    // A read-only handle: closing it writes no checkpoint.
    return look(path, read, true)
  } catch (thrown) {
    // A journal that a crash left must be rolled back before anything can be read, which takes a handle that writes.
    if (!isReadOnly(thrown)) throw thrown
    return look(path, read, false)
  }
}

function look<T>(path: string, read: (db: DatabaseSync) => T, readOnly: boolean): T {
  const db = new DatabaseSync(path, { readOnly })
  try {
    return read(db)
  } finally {
    db.close()
  }
}

function applyPragmas(db: DatabaseSync, options: OpenFileOptions): void {
  if (options.pageSize !== undefined) db.exec(`PRAGMA page_size = ${options.pageSize}`)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(`PRAGMA synchronous = ${options.synchronous}`)
  // On macOS a plain fsync leaves the bytes in the drive's cache.
  if (process.platform === 'darwin') db.exec('PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1')
  db.exec(`PRAGMA journal_size_limit = ${walKeptBytes}`)
  if (options.checkpointPages !== undefined) db.exec(`PRAGMA wal_autocheckpoint = ${options.checkpointPages}`)
}

/** Brings the schema to its newest version, one transaction for each step. */
export function migrate(db: DatabaseSync, path: string, schema: FileSchema): void {
  while (checkVersion(db, path, schema) < schema.migrations.length) {
    db.exec('BEGIN IMMEDIATE')
    try {
      // Another process may have taken the step while this one waited for the lock.
      const version = checkVersion(db, path, schema)
      if (version < schema.migrations.length) {
        db.exec(schema.migrations[version]!)
        storeVersion(db, schema, version + 1)
      }
      db.exec('COMMIT')
    } catch (thrown) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw thrown
    }
  }
}

/** The schema version in the file, 0 for a new one; throws when the file is not for us. */
function checkVersion(db: DatabaseSync, path: string, schema: FileSchema): number {
  const version = inSnapshot(db, () =>
    typeof schema.version === 'string'
      ? versionInTable(db, schema.version)
      : ownVersion(db, path, schema.version),
  )
  if (version > schema.migrations.length)
    throw new SpillwayError(
      'STORE_FROM_FUTURE',
      `${path} has schema version ${version}; this version of Spillway knows ${schema.migrations.length}.`,
      { engine: 'sqlite', details: { path, found: version, known: schema.migrations.length } },
    )
  return version
}

/** All that is read is of one moment: another process may be making the file. */
function inSnapshot<T>(db: DatabaseSync, read: () => T): T {
  if (db.isTransaction) return read()
  db.exec('BEGIN')
  try {
    return read()
  } finally {
    db.exec('ROLLBACK')
  }
}

function ownVersion(db: DatabaseSync, path: string, applicationId: number): number {
  const found = pragma(db, 'application_id')
  const version = Number(pragma(db, 'user_version'))
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_master').get()!.n)
  if ((found === applicationId && version > 0) || (found === 0 && version === 0 && tables === 0))
    return version
  throw new SpillwayError('STORE_CORRUPT', `${path} is an SQLite database of another program.`, {
    engine: 'sqlite',
    details: { path, applicationId: found },
  })
}

function versionInTable(db: DatabaseSync, table: string): number {
  const exists = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table)
  if (exists === undefined) return 0
  return Number(db.prepare(`SELECT max(version) AS version FROM "${table}"`).get()!.version ?? 0)
}

function storeVersion(db: DatabaseSync, schema: FileSchema, version: number): void {
  if (typeof schema.version === 'number') {
    db.exec(`PRAGMA application_id = ${schema.version}; PRAGMA user_version = ${version}`)
    return
  }
  db.exec(`CREATE TABLE IF NOT EXISTS "${schema.version}" (version INTEGER PRIMARY KEY)`)
  db.prepare(`INSERT INTO "${schema.version}" (version) VALUES (?)`).run(version)
}

/** The value of a pragma that answers with one number or word. */
export function pragma(db: DatabaseSync, name: string): number | string {
  const row = db.prepare(`PRAGMA ${name}`).get()
  return (row === undefined ? '' : Object.values(row)[0]) as number | string
}
