// The log: the times of the last `limit` units, so that no more than these stand in any window of `perUs`.
import type { Bucket, Numbers } from './bucket.ts'

export interface Log {
  readonly kind: 'log'
  readonly limit: number
  readonly perUs: number
}

// A bucket is where the oldest stands, and a ring of the times at which each unit comes back, the oldest first. Zero is a unit that is there.

/** The time at which the `index`th of them comes back, from the oldest on. */
function back(numbers: Numbers, at: number, limit: number, index: number): number {
  const place = numbers[at]! + index
  return numbers[at + 1 + (place < limit ? place : place - limit)]!
}

/** How many are back at `nowUs`. They are in order, so half of them can be left out at each look. */
function countBack(numbers: Numbers, at: number, limit: number, nowUs: number): number {
  // Mostly none or all.
  if (back(numbers, at, limit, 0) > nowUs) return 0
  if (back(numbers, at, limit, limit - 1) <= nowUs) return limit
  let [low, high] = [1, limit - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (back(numbers, at, limit, middle) <= nowUs) low = middle + 1
    else high = middle
  }
  return low
}

/** Now, or when the last unit was taken by a clock that was ahead. */
function timeOf(numbers: Numbers, at: number, { limit, perUs }: Log, nowUs: number): number {
  return Math.max(nowUs, back(numbers, at, limit, limit - 1) - perUs)
}

export const logs: Bucket<Log> = {
  size: ({ limit }) => limit + 1,

  available(numbers, at, log, nowUs) {
    return countBack(numbers, at, log.limit, timeOf(numbers, at, log, nowUs))
  },

  /** What is taken beyond the limit pushes the oldest out: no more than the last `limit` are needed to know whether there are too many. */
  take(numbers, at, log, nowUs, cost) {
    const { limit, perUs } = log
    const time = timeOf(numbers, at, log, nowUs)
    let oldest = numbers[at]!
    for (let left = Math.min(cost, limit); left > 0; left--) {
      numbers[at + 1 + oldest] = time + perUs
      oldest = oldest + 1 === limit ? 0 : oldest + 1
    }
    numbers[at] = oldest
    return time
  },

  earliest(numbers, at, log, nowUs, cost) {
    if (cost > log.limit) return Number.POSITIVE_INFINITY
    if (cost === 0) return nowUs
    const comesBack = back(numbers, at, log.limit, cost - 1)
    return comesBack <= timeOf(numbers, at, log, nowUs) ? nowUs : comesBack
  },

  /** Takes exactly these units out, if they still stand in it. */
  refund(numbers, at, { limit, perUs }, _nowUs, cost, takenUs) {
    const comesBack = takenUs + perUs
    let last = limit - 1
    while (last >= 0 && back(numbers, at, limit, last) > comesBack) last--
    let count = 0
    while (count < cost && last - count >= 0 && back(numbers, at, limit, last - count) === comesBack) count++
    const place = (index: number) => at + 1 + ((numbers[at]! + index) % limit)
    for (let index = last; index >= 0; index--)
      numbers[place(index)] = index >= count ? numbers[place(index - count)]! : 0
  },

  isIdle(numbers, at, { limit }, nowUs) {
    return back(numbers, at, limit, limit - 1) <= nowUs
  },
}
