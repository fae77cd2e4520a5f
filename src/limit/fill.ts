// How long a bucket takes from nothing to all of it.
import type { Algorithm } from '../core/bucket/algorithm.ts'

export function fillUs(algorithm: Algorithm, perUs: number): number {
  if (algorithm.kind !== 'token-bucket') return perUs
  const { capacity, unit, rate, tickUs } = algorithm
  return Math.ceil((capacity * unit) / rate) * tickUs
}
