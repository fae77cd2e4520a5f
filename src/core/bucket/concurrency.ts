// Concurrency: `limit` at the same time. What is taken is held until it is given back; no time brings it.
import type { Bucket } from './bucket.ts'

export interface Concurrency {
  readonly kind: 'concurrency'
  readonly limit: number
}

// A bucket is how many are held.

export const concurrencies: Bucket<Concurrency> = {
  size: () => 1,

  available: (numbers, at, { limit }) => limit - numbers[at]!,

  take(numbers, at, _parameters, nowUs, cost) {
    numbers[at] = numbers[at]! + cost
    return nowUs
  },

  earliest: (numbers, at, { limit }, nowUs, cost) =>
    limit - numbers[at]! >= cost ? nowUs : Number.POSITIVE_INFINITY,

  refund(numbers, at, _parameters, _nowUs, cost) {
    numbers[at] = Math.max(numbers[at]! - cost, 0)
  },

  isIdle: (numbers, at) => numbers[at] === 0,
}
