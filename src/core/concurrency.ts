// How many messages one consumer or subscription handles at the same time.
import { SpillwayError } from './errors.ts'

/** The number asked for, 10 where none is; throws INVALID_OPTION for what cannot work. */
export function checkConcurrency(concurrency: number = 10): number {
  if (Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 10_000) return concurrency
  throw new SpillwayError(
    'INVALID_OPTION',
    `concurrency is ${concurrency}; it takes a whole number from 1 to 10,000.`,
  )
}
