// One act on buckets that several processes share: settles what was leased, decides a request by all of its buckets, leases anew. Pure: stores that
// count in this process's arithmetic call it in their transaction, and all others are compared with it.
import { boundOf, bucketOf, type StoredAlgorithm } from './algorithm.ts'
import type { Numbers } from './bucket.ts'

/** What a request asks of one bucket. All counts are whole numbers from 0. */
export interface BucketAsk {
  /** Which bucket: any text of 1 to 200 characters without NUL. */
  readonly bucket: string
  readonly algorithm: StoredAlgorithm
  /**
   * What the holder has used of its lease of this bucket since it was given: at most what was leased. The rest is given back. Of concurrency: what is
   * in use, and stays so; beyond what was leased as far as there is room.
   */
  readonly used: number
  /** What the request asks for. 0 only looks, or only settles. Of a ban 1 asks that there is none, and takes nothing: offences are penalties. */
  readonly cost: number
  /** How much more the holder wishes to have as its lease from now on. 0: nothing. */
  readonly hold: number
  /** Taken whether it is there or not. Not of concurrency. */
  readonly penalty?: number
  /** Given back of what an earlier exchange took, with the time that it answered. Not of concurrency. */
  readonly refund?: { readonly units: number; readonly takenUs: number }
}

/** One request: its buckets are all different. */
export interface LimitExchange {
  /** Who leases: the same for all exchanges of one process, and of no other. 1 to 64 characters without NUL. */
  readonly holder: string
  /** How long leases that are given in this exchange last. */
  readonly leaseMs: number
  readonly asks: readonly BucketAsk[]
}

export interface BucketAnswer {
  /** What is left after this exchange, all leases taken off. May be below zero. */
  readonly available: number
  /** The lease of the holder from now on. Of concurrency with what is in use and what was asked for, where that was allowed. */
  readonly held: number
  /** When the cost was taken, as `refund` wants it. In microseconds of the store's clock. */
  readonly takenUs: number
  /** From when on this bucket would allow the same cost if nobody else asks and all leases are given back: `nowUs` if it does now, Infinity if never. */
  readonly earliestUs: number
}

export interface LimitVerdict {
  /** All costs were available, and were taken; else none was. What was used, penalties and refunds are stored in any case. */
  readonly allowed: boolean
  /** The store's clock, in whole microseconds. */
  readonly nowUs: number
  /** In the order of the asks. */
  readonly buckets: readonly BucketAnswer[]
}

export interface BucketLease {
  readonly holder: string
  readonly units: number
  readonly endsUs: number
}

/** A bucket as it is kept. */
export interface SharedBucket {
  algorithm: StoredAlgorithm
  numbers: Numbers
  leases: readonly BucketLease[]
}

/** A bucket that nobody has used. */
export function freshBucket(algorithm: StoredAlgorithm): SharedBucket {
  return { algorithm, numbers: new Float64Array(bucketOf(algorithm).size(algorithm)), leases: [] }
}

/** Does it, at a time: `buckets`, in the order of the asks, become what is to be kept. */
export function exchange(
  buckets: readonly SharedBucket[],
  { holder, leaseMs, asks }: LimitExchange,
  nowUs: number,
): LimitVerdict {
  const own = asks.map((ask, index) => settle(buckets[index]!, ask, holder, nowUs))
  const allowed = asks.every(
    ({ cost }, index) => cost === 0 || cost <= leftOf(buckets[index]!, nowUs) - own[index]!,
  )
  return {
    allowed,
    nowUs,
    buckets: asks.map((ask, index) => {
      const bucket = buckets[index]!
      const { algorithm, numbers } = bucket
      const arithmetic = bucketOf(algorithm)
      const isHeld = algorithm.kind === 'concurrency'
      const taken = allowed && algorithm.kind !== 'ban' ? ask.cost : 0
      const takenUs = isHeld ? nowUs : arithmetic.take(numbers, 0, algorithm, nowUs, taken)
      const keeps = own[index]! + (isHeld ? taken : 0)
      const held = keeps + Math.max(0, Math.min(ask.hold, leftOf(bucket, nowUs) - keeps))
      if (held > 0)
        bucket.leases = [...bucket.leases, { holder, units: held, endsUs: nowUs + leaseMs * 1_000 }]
      return {
        available: leftOf(bucket, nowUs),
        held,
        takenUs,
        earliestUs: arithmetic.earliest(numbers, 0, algorithm, nowUs, ask.cost),
      }
    }),
  }
}

/** Whether it may be forgotten. */
export function isForgettable(bucket: SharedBucket, nowUs: number): boolean {
  endLeases(bucket, nowUs)
  const { algorithm, numbers, leases } = bucket
  return leases.length === 0 && bucketOf(algorithm).isIdle(numbers, 0, algorithm, nowUs)
}

/**
 * The same where a clock shows the time of day, by which the windows of calendars pass too: those that ended long before, whatever their
 * askers' clocks say, are not asked for again.
 */
export function isForgotten(bucket: SharedBucket, nowUs: number, timeOfDayUs: number): boolean {
  if (isForgettable(bucket, nowUs)) return true
  const { algorithm, leases } = bucket
  return leases.length === 0 && algorithm.kind === 'calendar-window' && algorithm.endUs + dayUs <= timeOfDayUs
}

const dayUs = 86_400_000_000

/** What is left when all leases are taken off. */
function leftOf({ algorithm, numbers, leases }: SharedBucket, nowUs: number): number {
  let left = bucketOf(algorithm).available(numbers, 0, algorithm, nowUs)
  for (const { units } of leases) left -= units
  return left
}

/** Stores all that has happened, and ends the holder's lease. Returns what the holder has in use and keeps. */
function settle(bucket: SharedBucket, ask: BucketAsk, holder: string, nowUs: number): number {
  endLeases(bucket, nowUs)
  follow(bucket, ask.algorithm, nowUs)
  const { algorithm, numbers } = bucket
  const arithmetic = bucketOf(algorithm)
  const lease = bucket.leases.find((one) => one.holder === holder)
  if (lease) bucket.leases = bucket.leases.filter((one) => one !== lease)
  // What is in use goes on; what is not leased of it, since its lease ended or the store was away when it began, as far as there is room.
  if (algorithm.kind === 'concurrency')
    return Math.min(ask.used, Math.max(lease?.units ?? 0, leftOf(bucket, nowUs)))
  const used = lease ? Math.min(ask.used, lease.units) : 0
  if (ask.refund) arithmetic.refund(numbers, 0, algorithm, nowUs, ask.refund.units, ask.refund.takenUs)
  if (used + (ask.penalty ?? 0) > 0) arithmetic.take(numbers, 0, algorithm, nowUs, used + (ask.penalty ?? 0))
  return 0
}

/** A lease that ended without its holder was used, all of it and at its end. */
function endLeases(bucket: SharedBucket, nowUs: number): void {
  const ended = bucket.leases.filter(({ endsUs }) => endsUs <= nowUs)
  if (ended.length === 0) return
  bucket.leases = bucket.leases.filter(({ endsUs }) => endsUs > nowUs)
  const { algorithm, numbers } = bucket
  if (algorithm.kind === 'concurrency') return
  for (const { units, endsUs } of ended.sort((a, b) => a.endsUs - b.endsUs))
    bucketOf(algorithm).take(numbers, 0, algorithm, endsUs, units)
}

/**
 * What was taken stays taken when a bound or a refill becomes another. What cannot be counted on, since its numbers mean something else, begins anew, and
 * what was spent of it counts as spent now. Leases stay.
 */
function follow(bucket: SharedBucket, algorithm: StoredAlgorithm, nowUs: number): void {
  const was = bucket.algorithm
  if (layoutOf(was) !== layoutOf(algorithm)) {
    const spent = boundOf(was) - bucketOf(was).available(bucket.numbers, 0, was, nowUs)
    bucket.numbers = freshBucket(algorithm).numbers
    if (spent > 0 && algorithm.kind !== 'concurrency')
      bucketOf(algorithm).take(bucket.numbers, 0, algorithm, nowUs, spent)
  }
  bucket.algorithm = algorithm
}

/** What the numbers of a bucket mean: two algorithms of one layout count on the same bucket. */
export function layoutOf(algorithm: StoredAlgorithm): string {
  switch (algorithm.kind) {
    case 'token-bucket':
      return `token-bucket ${algorithm.unit} ${algorithm.tickUs}`
    case 'log':
      return `log ${algorithm.ring} ${algorithm.perUs}`
    case 'sliding-window':
      return `sliding-window ${algorithm.sliceUs}`
    case 'fixed-window':
      return `fixed-window ${algorithm.perUs}`
    case 'calendar-window':
    case 'concurrency':
    case 'ban':
      return algorithm.kind
  }
}
