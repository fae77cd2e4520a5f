// spillway/sqlite: the embedded engine, and a service's own database in an SQLite file.
export { type SqliteDatabaseOptions, sqliteDatabase } from './database.ts'
export { type SqliteOptions, sqlite } from './engine.ts'
export type { SqliteHandle, SqliteStatement } from './handle.ts'
