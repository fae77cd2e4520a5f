// Token buckets as Envoy writes them: tokens_per_fill in fill_interval, which since 1.33 come continuously.
import { periodText } from '../rule/period.ts'
import type { Remarks } from './exported.ts'
import type { Wish } from './wish.ts'

export interface EnvoyBucket {
  readonly max_tokens: number
  readonly tokens_per_fill: number
  readonly fill_interval: string
}

/** Envoy takes no shorter one. */
const shortestMs = 50
/** What Envoy counts in doubles is not exact: it comes later by this part than would just do. */
const later = 1.001

/** Envoy takes no larger number. */
const largest = 2 ** 32 - 1

/** Undefined where Envoy cannot count so far, and why is in the remarks. */
export function envoyBucket(
  wish: Exclude<Wish, { kind: 'atOnce' }>,
  remarks: Remarks,
): EnvoyBucket | undefined {
  const bucket = bucketFor(wish, remarks)
  if (Math.max(bucket.max_tokens, bucket.tokens_per_fill) <= largest) return bucket
  remarks.lost.push(`Envoy counts to ${largest} tokens at most`)
  return undefined
}

function bucketFor(wish: Exclude<Wish, { kind: 'atOnce' }>, remarks: Remarks): EnvoyBucket {
  const { plan, windowMs, ruleMost } = wish
  const period = periodText(windowMs * 1_000)
  const who = plan === undefined ? '' : `plan ${plan}: `
  if (wish.kind === 'bucket') {
    const { capacity, tokens, us } = wish
    const bucket = bucketOf(capacity, tokens, us / 1_000)
    const most = capacity + cameIn(bucket, windowMs)
    remarks.bounds.push({ plan, windowMs, most, ruleMost })
    return bucket
  }
  const { limit } = wish
  // Half of it at once and just less than the rest and one more: so many never come within a window.
  const capacity = wish.kind === 'pace' ? 1 : limit - Math.floor(limit / 2)
  const bucket = bucketOf(capacity, limit - capacity + 1, windowMs * later)
  remarks.bounds.push({ plan, windowMs, most: capacity + cameIn(bucket, windowMs), ruleMost })
  const lasting = Number((ratePerMs(bucket) * windowMs).toPrecision(3))
  remarks.differs.push(
    `${who}a bucket of ${capacity}, refilled by ${lasting} per ${period}, since Envoy keeps no times of requests: who takes ${capacity} at once waits for more sooner than by the rule, and never gets more`,
  )
  return bucket
}

/** Rounded to what Envoy takes, never to a faster one. */
function bucketOf(capacity: number, tokens: number, ms: number): EnvoyBucket {
  const times = Math.ceil(Math.max(1, shortestMs / ms))
  const intervalMs = Math.ceil(ms * times)
  return {
    max_tokens: capacity,
    tokens_per_fill: tokens * times,
    fill_interval: `${(intervalMs / 1_000).toFixed(3)}s`,
  }
}

function ratePerMs({ tokens_per_fill, fill_interval }: EnvoyBucket): number {
  return tokens_per_fill / Math.round(Number(fill_interval.slice(0, -1)) * 1_000)
}

function cameIn(bucket: EnvoyBucket, windowMs: number): number {
  const intervalMs = Math.round(Number(bucket.fill_interval.slice(0, -1)) * 1_000)
  return Number((BigInt(bucket.tokens_per_fill) * BigInt(Math.ceil(windowMs))) / BigInt(intervalMs))
}
