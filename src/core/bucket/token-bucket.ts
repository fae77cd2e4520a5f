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
  const flow = flowOf(capacity, refill, perUs, 1) ?? flowOf(capacity, refill, perUs, 1_000)
  return flow && { kind: 'token-bucket', capacity, ...flow }
}

/** The coarsest units that are whole, for so many tokens at most; undefined when they are too many, or fill too slowly, to be exact. */
export function flowOf(tokens: number, refill: number, perUs: number, tickUs: number): Flow | undefined {
  if (perUs % tickUs !== 0) return undefined
  const ticks = perUs / tickUs
  const shared = greatestDivisor(ticks, refill)
  const [unit, rate] = [ticks / shared, refill / shared]
  if (tokens * unit > largestWhole || (tokens * unit * tickUs) / rate > longestUs) return undefined
  return { unit, rate, tickUs }
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
  // Compared before it is multiplied: years times a rate would not be exact.
  return elapsed >= then / rate ? 0 : then - elapsed * rate
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
    numbers[at] = Math.min(
      missing(numbers, at, bucket, tick) + Math.min(cost, most) * bucket.unit,
      most * bucket.unit,
    )
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
