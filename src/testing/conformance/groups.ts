// The conformance suite of consumer groups: the membership part of the stream port.
import { assignmentCases } from './groups/assignment.ts'
import type { GroupCase } from './groups/bench.ts'
import { commitCases } from './groups/commit.ts'
import { nameCases } from './groups/names.ts'
import { revocationCases } from './groups/revocation.ts'
import { workCases } from './groups/work.ts'

export const groupSuite: readonly GroupCase[] = [
  ...assignmentCases,
  ...commitCases,
  ...revocationCases,
  ...workCases,
  ...nameCases,
]
