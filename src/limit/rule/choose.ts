// Which algorithm keeps what a rule says.
import { type Algorithm, boundOf } from '../../core/bucket/algorithm.ts'
import { logOf } from '../../core/bucket/log.ts'
import { slidingWindow } from '../../core/bucket/sliding-window.ts'
import { tokenBucketsOf } from '../../core/bucket/token-bucket.ts'

/** Up to here the times of all units are kept. */
export const longestLog = 64

/** What bounds by plan: the same form, with other numbers. */
export type Written =
  | { readonly form: 'bucket'; readonly capacity: number; readonly refill: number }
  | { readonly form: 'atMost'; readonly limit: number; readonly window: 'sliding' | 'calendar' | 'key' }
  | { readonly form: 'pace'; readonly pace: number }
  | { readonly form: 'atOnce'; readonly limit: number }

/**
 * The algorithm of each plan, all on the same buckets: who changes to another plan keeps what was counted. Undefined when their numbers cannot be
 * counted exactly.
 */
export function choose(plans: readonly Written[], perUs: number): readonly Algorithm[] | undefined {
  const [first] = plans
  if (first === undefined) return undefined
  switch (first.form) {
    case 'bucket':
      return tokenBucketsOf(plans as Extract<Written, { form: 'bucket' }>[], perUs)
    case 'pace':
      return tokenBucketsOf(
        // The line stands in front of it: whoever has waited for his turn goes, and the next one waits from there on.
        (plans as Extract<Written, { form: 'pace' }>[]).map(({ pace }) => ({ capacity: 1, refill: pace })),
        perUs,
      )
    case 'atOnce':
      return (plans as Extract<Written, { form: 'atOnce' }>[]).map(({ limit }) => ({
        kind: 'concurrency',
        limit,
      }))
    case 'atMost':
      return windows(plans as Extract<Written, { form: 'atMost' }>[], first.window, perUs)
  }
}

function windows(
  plans: readonly { readonly limit: number }[],
  window: 'sliding' | 'calendar' | 'key',
  perUs: number,
): readonly Algorithm[] {
  const largest = Math.max(...plans.map(({ limit }) => limit))
  return plans.map(({ limit }) => {
    if (window === 'calendar') return { kind: 'calendar-window', limit, endUs: 0 }
    if (window === 'key') return { kind: 'fixed-window', limit, perUs }
    return largest <= longestLog ? logOf(limit, perUs, largest) : slidingWindow(limit, perUs)
  })
}

/** The one that allows the least first. */
export function bySize(a: Algorithm, b: Algorithm): number {
  const rate = (algorithm: Algorithm) => ('rate' in algorithm ? algorithm.rate : 0)
  return boundOf(a) - boundOf(b) || rate(a) - rate(b)
}
