// What every algorithm of a limit is: pure arithmetic in whole numbers on the few numbers of one bucket.

/** Where buckets stand: in one array, each from its own offset. */
export type Numbers = Float64Array

/**
 * The arithmetic of one algorithm on a bucket whose numbers stand in `numbers` from `at`. Zeros are a bucket that nobody has used. Times are whole
 * microseconds of any clock; a clock that steps back stands still until it has made up for it, and no bucket is the fuller for it. Costs are whole
 * numbers. Nothing is rounded: what is said here is exact up to 2^53.
 */
export interface Bucket<Parameters> {
  /** How many numbers a bucket takes. */
  size(parameters: Parameters): number
  /** How many units could be taken now. Below zero where a penalty took more than there was. Changes nothing. */
  available(numbers: Numbers, at: number, parameters: Parameters, nowUs: number): number
  /**
   * Takes, without asking whether it is there: ask `available` first, or it is a penalty. A penalty takes down to as much below zero as the bucket
   * holds. Returns the time by which `refund` knows what was taken.
   */
  take(numbers: Numbers, at: number, parameters: Parameters, nowUs: number, cost: number): number
  /**
   * The first microsecond, from now on, at which `cost` is available if nobody takes meanwhile: not one earlier, not one later. Infinity for a cost
   * above what the bucket ever holds, and where no time brings it (concurrency).
   */
  earliest(numbers: Numbers, at: number, parameters: Parameters, nowUs: number, cost: number): number
  /** Gives back what was taken at `takenUs`; what time has given back already is not given twice. */
  refund(
    numbers: Numbers,
    at: number,
    parameters: Parameters,
    nowUs: number,
    cost: number,
    takenUs: number,
  ): void
  /** Whether the bucket says the same as one that nobody has used, now and later: then it may be forgotten. */
  isIdle(numbers: Numbers, at: number, parameters: Parameters, nowUs: number): boolean
}

/** Whole numbers up to here, and twice as much, are exact. */
export const largestWhole: number = 2 ** 52
