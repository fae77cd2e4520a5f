// What every case of limits starts from: fresh buckets, and short ways to ask them.
import assert from 'node:assert/strict'
import type { Algorithm, StoredAlgorithm } from '../../../core/bucket/algorithm.ts'
import { logOf } from '../../../core/bucket/log.ts'
import { tokenBucket } from '../../../core/bucket/token-bucket.ts'
import type { BucketAsk, LimitExchange, LimitPort, LimitVerdict } from '../../../ports/limit.ts'
import type { ConformanceCase } from '../case.ts'
import type { LimitSubject } from '../limit-subject.ts'
import { fresh } from '../sample.ts'

export type LimitCase = ConformanceCase<LimitSubject>

const hourUs = 3_600_000_000

/** Of which nothing comes back while a case runs. */
export function slow(limit: number): Algorithm {
  return logOf(limit, 24 * hourUs)
}

/** The same as a token bucket. */
export function slowTokens(capacity: number): Algorithm {
  return tokenBucket(capacity, 1, 24 * hourUs)!
}

export function ask(bucket: string, algorithm: StoredAlgorithm, more: Partial<BucketAsk> = {}): BucketAsk {
  return { bucket, algorithm, used: 0, cost: 0, hold: 0, ...more }
}

/** A lease that does not end while a case runs. */
export const longMs = 600_000

export function request(asks: readonly BucketAsk[], more: Partial<LimitExchange> = {}): LimitExchange {
  return { holder: 'h', leaseMs: longMs, asks, ...more }
}

/** One request of one bucket. */
export async function exchange(
  port: LimitPort,
  one: BucketAsk,
  more: Partial<LimitExchange> = {},
): Promise<LimitVerdict & LimitVerdict['buckets'][number]> {
  const verdict = await decide(port, [one], more)
  return { ...verdict.buckets[0]!, ...verdict }
}

export async function decide(
  port: LimitPort,
  asks: readonly BucketAsk[],
  more: Partial<LimitExchange> = {},
): Promise<LimitVerdict> {
  const verdicts = await port.exchange([request(asks, more)])
  assert.equal(verdicts.length, 1)
  assert.equal(verdicts[0]!.buckets.length, asks.length)
  return verdicts[0]!
}

/** What is left, without taking anything. */
export async function left(port: LimitPort, bucket: string, algorithm: StoredAlgorithm): Promise<number> {
  return (await exchange(port, ask(bucket, algorithm), { holder: 'looker' })).available
}

export function freshBucketName(): string {
  return fresh('bucket')
}
