// The conformance suite of the limit port.
import { arithmeticCases } from './limit/arithmetic.ts'
import type { LimitCase } from './limit/bench.ts'
import { decideCases } from './limit/decide.ts'
import { leaseCases } from './limit/lease.ts'
import { storeCases } from './limit/store.ts'

export const limitSuite: readonly LimitCase[] = [
  ...decideCases,
  ...leaseCases,
  ...arithmeticCases,
  ...storeCases,
]
