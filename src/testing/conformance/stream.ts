// The conformance suite of the stream port, consumer groups apart.
import { appendCases } from './stream/append.ts'
import type { StreamCase } from './stream/bench.ts'
import { boundsCases } from './stream/bounds.ts'
import { compactCases } from './stream/compact.ts'
import { declareCases } from './stream/declare.ts'
import { nameCases } from './stream/names.ts'
import { producerCases } from './stream/producers.ts'
import { readCases } from './stream/read.ts'
import { retainCases } from './stream/retain.ts'
import { trimCases } from './stream/trim.ts'
import { versionCases } from './stream/versions.ts'

export const streamSuite: readonly StreamCase[] = [
  ...declareCases,
  ...appendCases,
  ...readCases,
  ...trimCases,
  ...retainCases,
  ...compactCases,
  ...versionCases,
  ...producerCases,
  ...boundsCases,
  ...nameCases,
]
