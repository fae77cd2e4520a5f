// The algorithms, as plain data with their parameters, and the arithmetic of each.
import { type Ban, bans } from './ban.ts'
import type { Bucket } from './bucket.ts'
import { type Concurrency, concurrencies } from './concurrency.ts'
import { type CalendarWindow, calendarWindows, type FixedWindow, fixedWindows } from './fixed-window.ts'
import { type Log, logs } from './log.ts'
import { type SlidingWindow, slidingWindows } from './sliding-window.ts'
import { type TokenBucket, tokenBuckets } from './token-bucket.ts'

/** An algorithm with its parameters, in whole numbers: as JSON it can be sent to a store, which counts by the same arithmetic. */
export type Algorithm = TokenBucket | Log | SlidingWindow | FixedWindow | CalendarWindow | Concurrency

/** All that buckets are kept of: what bounds, and bans. */
export type StoredAlgorithm = Algorithm | Ban

type Arithmetic = {
  readonly [Kind in StoredAlgorithm['kind']]: Bucket<Extract<StoredAlgorithm, { kind: Kind }>>
}

const arithmetic: Arithmetic = {
  'token-bucket': tokenBuckets,
  log: logs,
  'sliding-window': slidingWindows,
  'fixed-window': fixedWindows,
  'calendar-window': calendarWindows,
  concurrency: concurrencies,
  ban: bans,
}

/** The arithmetic for buckets of this algorithm. */
export function bucketOf(algorithm: StoredAlgorithm): Bucket<StoredAlgorithm> {
  return arithmetic[algorithm.kind] as unknown as Bucket<StoredAlgorithm>
}

/** The most that one request may cost: what a bucket holds that nobody has used. */
export function boundOf(algorithm: StoredAlgorithm): number {
  return 'limit' in algorithm ? algorithm.limit : algorithm.capacity
}
