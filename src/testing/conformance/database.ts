// The conformance suite of the database port: the transaction seam.
import type { DatabaseCase } from './database/bench.ts'
import { commitCases } from './database/commit.ts'
import { driverCases } from './database/driver.ts'
import { duplicateCases } from './database/duplicate.ts'
import { lockCases } from './database/lock.ts'
import { outboxCases } from './database/outbox.ts'
import { progressCases } from './database/progress.ts'
import { repeatedCases } from './database/repeated.ts'

export const databaseSuite: readonly DatabaseCase[] = [
  ...commitCases,
  ...duplicateCases,
  ...progressCases,
  ...repeatedCases,
  ...driverCases,
  ...outboxCases,
  ...lockCases,
]
