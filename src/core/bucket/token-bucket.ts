// The token bucket: holds `capacity`, refilled by `refill` in `perUs`, continuously.
import { type Bucket, largestWhole, type Numbers } from './bucket.ts'

/** What a flow of tokens is counted in, so that no division is needed and nothing drifts. */
export interface Flow {
  /** A token is so many units … */
  readonly unit: number
  /** … and a tick brings so many. */
  readonly rate: number
  /** A tick: a microsecond, or a millisecond where units of microseconds would not be exact. */
  readonly tickUs: number
}

export interface TokenBucket extends Flow {
  readonly kind: 'token-bucket'
  /** The most tokens that it holds. */
  readonly capacity: number
}

/** Undefined when no tick counts it exactly. All three are whole numbers from 1. */
export function tokenBucket(capacity: number, refill: number, perUs: number): TokenBucket | undefined {
  return tokenBucketsOf([{ capacity, refill }], perUs)?.[0]
}

/** Several numbers for the same buckets, counted in the same units: a bucket goes by any of them, as its owner's plan says. */
export function tokenBucketsOf(
  plans: readonly { readonly capacity: number; readonly refill: number }[],
  perUs: number,
): readonly TokenBucket[] | undefined {
  const refills = plans.map(({ refill }) => refill)
  for (const tickUs of [1, 1_000]) {
    const flows = flowsOf(refills, perUs, tickUs)
    const buckets = plans.map(
      ({ capacity }, i) => ({ kind: 'token-bucket', capacity, ...flows[i]! }) as const,
    )
    if (perUs % tickUs === 0 && buckets.every(isExact)) return buckets
  }
  return undefined
}

/** The coarsest units that are whole for all these rates. */
export function flowsOf(refills: readonly number[], perUs: number, tickUs: number): readonly Flow[] {
  const ticks = perUs / tickUs
  const shared = refills.reduce(greatestDivisor, ticks)
  return refills.map((refill) => ({ unit: ticks / shared, rate: refill / shared, tickUs }))
}

/** Whether all of its numbers are: how many units it holds, and when it is full. */
export function isExact({ capacity, unit, rate, tickUs }: Flow & { readonly capacity: number }): boolean {
  return capacity * unit <= largestWhole && (capacity * unit * tickUs) / rate <= longestUs
}

/** What takes longer to fill, about 35 years, would come at times that are not exact. */
const longestUs = 2 ** 50

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}

// A bucket is two numbers: how many units were missing, and at which tick. Missing, not left: so that zeros are full.

/** How many units are missing at a tick. */
function missing(numbers: Numbers, at: number, { rate }: TokenBucket, tick: number): number {
  const then = numbers[at]!
  const elapsed = tick - numbers[at + 1]!
  if (elapsed <= 0) return then
  // Years times a rate are rounded, but only above 2^53: still more than a bucket can miss.
  const came = elapsed * rate
  return came >= then ? 0 : then - came
}

function tickAt(nowUs: number, { tickUs }: TokenBucket): number {
  return tickUs === 1 ? nowUs : Math.floor(nowUs / tickUs)
}

export const tokenBuckets: Bucket<TokenBucket> = {
  size: () => 2,

  available(numbers, at, bucket, nowUs) {
    const full = bucket.capacity * bucket.unit
    return Math.floor((full - missing(numbers, at, bucket, tickAt(nowUs, bucket))) / bucket.unit)
  },

  take(numbers, at, bucket, nowUs, cost) {
    const tick = Math.max(tickAt(nowUs, bucket), numbers[at + 1]!)
    const most = 2 * bucket.capacity
    const before = missing(numbers, at, bucket, tick)
    // It may have been below that: by the numbers of another plan.
    numbers[at] = Math.max(before, Math.min(before + Math.min(cost, most) * bucket.unit, most * bucket.unit))
    numbers[at + 1] = tick
    return tick * bucket.tickUs
  },

  earliest(numbers, at, bucket, nowUs, cost) {
    if (cost > bucket.capacity) return Number.POSITIVE_INFINITY
    const tick = tickAt(nowUs, bucket)
    const lacking = missing(numbers, at, bucket, tick) - (bucket.capacity - cost) * bucket.unit
    if (lacking <= 0) return nowUs
    return (Math.max(tick, numbers[at + 1]!) + Math.ceil(lacking / bucket.rate)) * bucket.tickUs
  },

  /** A deposit: what is given back may be taken again, and no more than full is full. */
  refund(numbers, at, bucket, nowUs, cost) {
    const tick = Math.max(tickAt(nowUs, bucket), numbers[at + 1]!)
    const back = Math.min(cost, 2 * bucket.capacity) * bucket.unit
    numbers[at] = Math.max(missing(numbers, at, bucket, tick) - back, 0)
    numbers[at + 1] = tick
  },

  isIdle(numbers, at, bucket, nowUs) {
    return missing(numbers, at, bucket, tickAt(nowUs, bucket)) === 0
  },
}
