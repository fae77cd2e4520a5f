// Buckets of rate limits that several processes share. A store keeps them, counts by the arithmetic of `core/bucket` at its own clock, and leases
// parts of them, so that most decisions need no store.
import type { StoredAlgorithm } from '../core/bucket/algorithm.ts'
import { largestWhole } from '../core/bucket/bucket.ts'
import type { BucketAsk, LimitExchange, LimitVerdict } from '../core/bucket/exchange.ts'
import { isExact } from '../core/bucket/token-bucket.ts'
import { SpillwayError } from '../core/errors.ts'

export type { BucketAnswer, BucketAsk, LimitExchange, LimitVerdict } from '../core/bucket/exchange.ts'

export interface LimitPort {
  /** What is kept when the process, the machine or the store dies, in a sentence for people. */
  readonly statement: string
  /** Requests over several buckets are decided by several nodes, at times of their own. */
  readonly severalClocks?: boolean
  /**
   * Decides requests, each in one atomic act (`exchange` in `core/bucket`, at one time of the store's clock); of several the later ones see what the earlier
   * took. In each act what was used, penalties and refunds are stored and the holder's old leases end; then, if every cost is available, all
   * are taken; then the new leases are given.
   *
   * Leased units count as taken now for as long as they are out. They are stored as used when they are settled or, all of them, at the end of a lease
   * that its holder did not settle: in no window a bucket admits more than its algorithm says. What is told as used of a lease that has ended is ignored.
   *
   * A bucket that is asked with another bound or refill than before goes on with what was taken; with another algorithm (`layoutOf`) it begins
   * anew, and what was spent of it counts as spent now. Buckets that are idle and have no leases may be forgotten at any time.
   *
   * A store that is spread over several nodes may decide a request over more than one of them in two phases, with times of their own: `nowUs` is then the latest.
   * What others cannot have meanwhile, they have again, if the request is refused.
   *
   * Rejects with ENGINE_UNAVAILABLE when the store did not answer: then it may have been taken or not. Rejects with INVALID_OPTION, before anything
   * is asked, when a request is none; with CLOSED after `close` of the engine.
   */
  exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]>
  /** Removes what may be forgotten, a bounded number at a call; resolves with how many. Stores that do it by themselves give 0. */
  sweep(): Promise<number>
}

/** How many times a log keeps at most: what a store reads and writes for each decision. */
const mostTimes = 10_000

/** INVALID_OPTION when a request is none: every store asks this before it does anything. */
export function checkExchange(engine: string, requests: readonly LimitExchange[]): void {
  for (const { holder, leaseMs, asks } of requests) {
    if (!isName(holder, 64))
      throw invalid(engine, 'A holder is a well-formed text of 1 to 64 characters without NUL.')
    if (!Number.isSafeInteger(leaseMs) || leaseMs < 1 || leaseMs > 3_600_000)
      throw invalid(
        engine,
        `A lease lasts from 1 ms to an hour, in whole milliseconds; leaseMs is ${leaseMs}.`,
      )
    if (asks.length === 0 || asks.length > 64)
      throw invalid(engine, `A request asks 1 to 64 buckets; this one asks ${asks.length}.`)
    for (let i = 0; i < asks.length; i++) {
      const ask = asks[i]!
      checkAsk(engine, ask)
      for (let before = 0; before < i; before++)
        if (asks[before]!.bucket === ask.bucket)
          throw invalid(engine, 'A request asks the same bucket twice: ask it once, for both costs together.')
    }
  }
}

function checkAsk(
  engine: string,
  { bucket, algorithm, used, cost, hold, penalty = 0, refund }: BucketAsk,
): void {
  if (!isName(bucket, 200))
    throw invalid(engine, 'The name of a bucket is a well-formed text of 1 to 200 characters without NUL.')
  checkUnits(engine, bucket, 'used', used)
  checkUnits(engine, bucket, 'cost', cost)
  checkUnits(engine, bucket, 'hold', hold)
  checkUnits(engine, bucket, 'penalty', penalty)
  if (refund) checkUnits(engine, bucket, 'refund', refund.units)
  if (algorithm.kind === 'concurrency' && (penalty > 0 || refund))
    throw invalid(
      engine,
      `What is in use at the same time knows neither penalty nor refund (bucket ${bucket}): tell what is in use.`,
    )
  if (refund && !Number.isSafeInteger(refund.takenUs))
    throw invalid(
      engine,
      `A refund tells when it was taken, as it was answered; takenUs is ${refund.takenUs} for the bucket ${bucket}.`,
    )
  checkAlgorithm(engine, bucket, algorithm)
  if (algorithm.kind === 'log' && !(algorithm.ring >= algorithm.limit && algorithm.ring <= mostTimes))
    throw invalid(
      engine,
      `A log keeps at least as many times as it allows, and at most ${mostTimes}; the ring is ${algorithm.ring} for the bucket ${bucket}.`,
    )
}

/** Every store has to count by it, and to the same unit; and what one of them cannot carry fails others that are asked with it. */
function checkAlgorithm(engine: string, bucket: string, algorithm: StoredAlgorithm): void {
  for (const name in algorithm) {
    const value: unknown = algorithm[name as keyof StoredAlgorithm]
    if (name === 'kind' || (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= largestWhole))
      continue
    throw invalid(
      engine,
      `Algorithms are in whole numbers from 1 to 2^52; ${name} is ${String(value)} for the bucket ${bucket}.`,
    )
  }
  if (algorithm.kind === 'token-bucket' && !isExact(algorithm))
    throw invalid(
      engine,
      `The token bucket ${bucket} holds more units than are counted exactly, or takes 35 years to fill.`,
    )
}

function checkUnits(engine: string, bucket: string, what: string, units: number): void {
  if (!Number.isSafeInteger(units) || units < 0)
    throw invalid(engine, `Units are whole numbers from 0; ${what} is ${units} for the bucket ${bucket}.`)
}

function isName(text: string, longest: number): boolean {
  return text.length > 0 && text.length <= longest && !text.includes('\0') && text.isWellFormed()
}

function invalid(engine: string, message: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', message, { engine })
}
