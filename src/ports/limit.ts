// Buckets of rate limits that several processes share. A store keeps them, counts by the arithmetic of `core/bucket` at its own clock, and leases
// parts of them, so that most decisions need no store.
import type { Algorithm } from '../core/bucket/algorithm.ts'

/** What a request asks of one bucket. All counts are whole numbers from 0. */
export interface BucketAsk {
  /** Which bucket: any text up to 200 characters without NUL. It stands for one algorithm at a time; see `LimitPort.exchange` for others. */
  readonly bucket: string
  readonly algorithm: Algorithm
  /** What the holder has used of its lease of this bucket since it was given: at most what was leased. The rest is given back. */
  readonly used: number
  /** What the request asks for. 0 only looks, or only settles. */
  readonly cost: number
  /** How much the holder wishes to hold as its lease from now on. 0: none. */
  readonly hold: number
  /** Taken whether it is there or not: a penalty. */
  readonly penalty?: number
  /** Given back of what an earlier exchange took, with the time that it answered. */
  readonly refund?: { readonly units: number; readonly takenUs: number }
}

/** One request: all of its buckets are different. */
export interface LimitExchange {
  /** Who leases: the same for all exchanges of one process, and of no other. Up to 64 characters. */
  readonly holder: string
  /** How long leases given in this exchange last. */
  readonly leaseMs: number
  readonly asks: readonly BucketAsk[]
}

export interface BucketAnswer {
  /** What is left after this exchange, leases of all holders taken off. May be below zero after a penalty. */
  readonly available: number
  /** The lease of the holder from now on: at most `hold`, and at most what is available. */
  readonly held: number
  /** When it was taken, as `refund` wants it. For `pace`: the turn, microseconds of the store's clock. */
  readonly takenUs: number
  /** From when on the bucket alone would allow the same cost, if nobody else asks and all leases are given back: `nowUs` if it does now, Infinity if never. */
  readonly earliestUs: number
}

export interface LimitVerdict {
  /** All costs were available, and were taken; else none was. What was used, penalties and refunds are stored in any case. */
  readonly allowed: boolean
  /** The store's clock, in microseconds. */
  readonly nowUs: number
  /** In the order of the asks. */
  readonly buckets: readonly BucketAnswer[]
}

export interface LimitPort {
  /** What is kept when the process, the machine or the store dies, in a sentence for people. */
  readonly statement: string
  /**
   * Decides requests, each in one atomic act; of several the later ones see what the earlier took. In each act, at one time of the store's clock:
   * what was used, penalties and refunds are stored; the holder's old leases end; then, if every cost is available, all are taken; then the new
   * leases are given.
   *
   * Leased units count as taken now for as long as they are out, and are stored as used when they are settled or, all of them, when the lease ends
   * without its holder: in no window a bucket admits more than its algorithm says. `used` of a lease that has ended is ignored: all of it was used.
   *
   * A bucket that has another algorithm than it is asked with begins anew, as full as the old one was in proportion, rounded down. Buckets that are
   * idle and have no leases may be forgotten.
   *
   * Rejects with ENGINE_UNAVAILABLE when the store did not answer: then it may have been taken or not. Rejects with INVALID_OPTION before it asks the
   * store when an ask is none.
   */
  exchange(
    requests: readonly LimitExchange[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<LimitVerdict[]>
  /** Removes buckets that are idle and have no leases, a bounded number at a call; resolves with how many. Stores that do it by themselves give 0. */
  sweep(): Promise<number>
}
