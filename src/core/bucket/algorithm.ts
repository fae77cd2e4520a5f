// The algorithms, as plain data with their parameters, and the arithmetic of each.
import type { Bucket } from './bucket.ts'
import { type Concurrency, concurrencies } from './concurrency.ts'
import { type CalendarWindow, calendarWindows, type FixedWindow, fixedWindows } from './fixed-window.ts'
import { type Log, logs } from './log.ts'
import { type SlidingWindow, slidingWindows } from './sliding-window.ts'
import { type TokenBucket, tokenBuckets } from './token-bucket.ts'

/** An algorithm with its parameters, in whole numbers: as JSON it can be sent to a store, which counts by the same arithmetic. */
export type Algorithm = TokenBucket | Log | SlidingWindow | FixedWindow | CalendarWindow | Concurrency

type Arithmetic = { readonly [Kind in Algorithm['kind']]: Bucket<Extract<Algorithm, { kind: Kind }>> }

const arithmetic: Arithmetic = {
  'token-bucket': tokenBuckets,
  log: logs,
  'sliding-window': slidingWindows,
  'fixed-window': fixedWindows,
  'calendar-window': calendarWindows,
  concurrency: concurrencies,
}

/** The arithmetic for buckets of this algorithm. */
export function bucketOf(algorithm: Algorithm): Bucket<Algorithm> {
  return arithmetic[algorithm.kind] as unknown as Bucket<Algorithm>
}

/** The most that one request may cost: what a bucket holds that nobody has used. */
export function boundOf(algorithm: Algorithm): number {
  return 'limit' in algorithm ? algorithm.limit : algorithm.capacity
}
