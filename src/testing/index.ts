// spillway/testing: what tests of your own code need. The in-memory engine and database, a clock that waits for nobody, a spy on
// handlers, and a service without a broker.
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
export type { AskServiceOptions, ThenAnswered } from './services/ask-service.ts'
export {
  type Asking,
  type CallSample,
  callSample,
  conformsTo,
  type SampleEnd,
} from './services/call-samples.ts'
export {
  type FakeAnswers,
  type FakeAsked,
  type FakeContext,
  type FakeContextOptions,
  fakeContext,
} from './services/fake-context.ts'
export {
  type Handled,
  type HandlerSpy,
  handlerSpy,
  type SettledOutcome,
  type SpyFilter,
  type SpyWait,
} from './services/handler-spy.ts'
export {
  type TestedService,
  type TestServiceOptions,
  type Then,
  testService,
  type WhenOptions,
  type WhenPointerOptions,
} from './services/test-service.ts'
