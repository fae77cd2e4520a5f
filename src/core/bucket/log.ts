// The log: the times of the last `limit` units, so that no more than these stand in any window of `perUs`.
import type { Bucket, Numbers } from './bucket.ts'

export interface Log {
  readonly kind: 'log'
  readonly limit: number
  /** How many times are kept: the limit, or more where the same buckets go by several limits. */
  readonly ring: number
  readonly perUs: number
}

export function logOf(limit: number, perUs: number, ring: number = limit): Log {
  return { kind: 'log', limit, ring, perUs }
}

// A bucket is where the oldest stands, and a ring of the times at which each unit comes back, the oldest first. Zero is a unit that is there.

/** The time at which the `index`th of them comes back, from the oldest on. */
function back(numbers: Numbers, at: number, ring: number, index: number): number {
  const place = numbers[at]! + index
  return numbers[at + 1 + (place < ring ? place : place - ring)]!
}

/** How many are back at `nowUs`. They are in order, so half of them can be left out at each look. */
function countBack(numbers: Numbers, at: number, ring: number, nowUs: number): number {
  // Mostly none or all.
  if (back(numbers, at, ring, 0) > nowUs) return 0
  if (back(numbers, at, ring, ring - 1) <= nowUs) return ring
  let [low, high] = [1, ring - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (back(numbers, at, ring, middle) <= nowUs) low = middle + 1
    else high = middle
  }
  return low
}

/** Now, or when the last unit was taken by a clock that was ahead. */
function timeOf(numbers: Numbers, at: number, { ring, perUs }: Log, nowUs: number): number {
  return Math.max(nowUs, back(numbers, at, ring, ring - 1) - perUs)
}

export const logs: Bucket<Log> = {
  size: ({ ring }) => ring + 1,

  available(numbers, at, log, nowUs) {
    const standing = log.ring - countBack(numbers, at, log.ring, timeOf(numbers, at, log, nowUs))
    return log.limit - standing
  },

  /** What is taken beyond the ring pushes the oldest out: no more than the last are needed to know whether there are too many. */
  take(numbers, at, log, nowUs, cost) {
    const { ring, perUs } = log
    const time = timeOf(numbers, at, log, nowUs)
    let oldest = numbers[at]!
    for (let left = Math.min(cost, ring); left > 0; left--) {
      numbers[at + 1 + oldest] = time + perUs
      oldest = oldest + 1 === ring ? 0 : oldest + 1
    }
    numbers[at] = oldest
    return time
  },

  earliest(numbers, at, log, nowUs, cost) {
    const { limit, ring } = log
    if (cost > limit) return Number.POSITIVE_INFINITY
    // All but so many of the last have to be back.
    const index = ring - limit + cost - 1
    if (index < 0) return nowUs
    const comesBack = back(numbers, at, ring, index)
    return comesBack <= timeOf(numbers, at, log, nowUs) ? nowUs : comesBack
  },

  /** Takes exactly these units out, if they still stand in it. */
  refund(numbers, at, { ring, perUs }, _nowUs, cost, takenUs) {
    const comesBack = takenUs + perUs
    let last = ring - 1
    while (last >= 0 && back(numbers, at, ring, last) > comesBack) last--
    let count = 0
    while (count < cost && last - count >= 0 && back(numbers, at, ring, last - count) === comesBack) count++
    const place = (index: number) => at + 1 + ((numbers[at]! + index) % ring)
    for (let index = last; index >= 0; index--)
      numbers[place(index)] = index >= count ? numbers[place(index - count)]! : 0
  },

  isIdle(numbers, at, { ring }, nowUs) {
    return back(numbers, at, ring, ring - 1) <= nowUs
  },
}
