// spillway/testing: what tests of your own code need. The in-memory engine and database, and a clock that waits for nobody.
export { type FakeClock, fakeClock } from './fake-clock.ts'
export {
  type MemoryDatabaseOptions,
  type MemoryDatabaseSource,
  memoryDatabase,
  type RestorableDatabaseOptions,
} from './memory/database.ts'
export { type MemoryOptions, memory } from './memory/engine.ts'
export { type MemoryStore, type MemoryStoreOptions, memoryStore } from './memory/store.ts'
export { MemoryTable, type Restorable } from './memory/table.ts'
