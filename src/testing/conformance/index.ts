// The conformance suites: what an engine or a database has to do to be one of Spillway's.
export type { ConformanceCase, Need, Requirement, Subject } from './case.ts'
export { skipReason } from './case.ts'
export { databaseSuite } from './database.ts'
export {
  type DatabaseAccess,
  type DatabaseSubject,
  databaseSubject,
  type OpenDatabase,
  type TestDatabase,
} from './database-subject.ts'
export { engineSuite } from './engine.ts'
export { groupSuite } from './groups.ts'
export { limitSuite } from './limit.ts'
export { type LimitAccess, type LimitSubject, limitSubject, type OpenLimit } from './limit-subject.ts'
export { queueSuite } from './queue.ts'
export { type CaseResult, type RunOptions, runCases } from './run.ts'
export { streamSuite } from './stream.ts'
export { type DistantMember, type EngineAccess, type EngineSubject, engineSubject } from './subject.ts'
