// The conformance suite of the database port: the transaction seam.
import { answerCases } from './database/answers.ts'
import { batchCases } from './database/batch.ts'
import type { DatabaseCase } from './database/bench.ts'
import { commitCases } from './database/commit.ts'
import { driverCases } from './database/driver.ts'
import { duplicateCases } from './database/duplicate.ts'
import { joinCases } from './database/join.ts'
import { lockCases } from './database/lock.ts'
import { moveCases } from './database/move.ts'
import { outboxCases } from './database/outbox.ts'
import { parkingCases } from './database/parking.ts'
import { progressCases } from './database/progress.ts'
import { repeatedCases } from './database/repeated.ts'
import { rewindCases } from './database/rewind.ts'
import { sagaCases } from './database/saga.ts'

export const databaseSuite: readonly DatabaseCase[] = [
  ...commitCases,
  ...duplicateCases,
  ...answerCases,
  ...batchCases,
  ...progressCases,
  ...repeatedCases,
  ...rewindCases,
  ...parkingCases,
  ...sagaCases,
  ...driverCases,
  ...outboxCases,
  ...lockCases,
  ...moveCases,
  ...joinCases,
]
