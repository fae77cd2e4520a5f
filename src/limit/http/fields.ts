// The response fields RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers-11 has them (on the wire the same as -10), and Retry-After.
import { serializeString } from 'structured-headers'
import { asError, SpillwayError } from '../../core/errors.ts'

/** The version of the draft that is spoken here. */
export const rateLimitDraft = 'draft-ietf-httpapi-ratelimit-headers-11'

export const fields = {
  policy: 'RateLimit-Policy',
  limit: 'RateLimit',
  retryAfter: 'Retry-After',
} as const

/** The units of the draft's registry; requests are not named. */
export type QuotaUnit = 'requests' | 'content-bytes' | 'concurrent-requests'

/** What a client is told of a rule. */
export interface Policy {
  readonly name: string
  /** Whole units. */
  readonly quota: number
  /** Milliseconds; undefined where the rule has no window. The draft has whole seconds: a shorter window is not said. */
  readonly windowMs?: number | undefined
  readonly unit?: QuotaUnit | undefined
  /** What a unit is where the registry has no word for it. */
  readonly cost?: string | undefined
}

/** The largest integer of a structured field. */
const largest = 999_999_999_999_999

/** A name as a structured field has it, quoted. Throws INVALID_OPTION for what it cannot carry: it has printable ASCII only. */
export function quoted(name: string): string {
  try {
    return serializeString(name)
  } catch (thrown) {
    throw new SpillwayError(
      'INVALID_OPTION',
      `The rule ${JSON.stringify(name)} cannot be named in a header: ${asError(thrown).message}.`,
      { cause: thrown, remedy: 'Name it in letters, digits, dots, dashes and underscores.' },
    )
  }
}

/** One item of RateLimit-Policy. */
export function policyItem({ name, quota, windowMs, unit, cost }: Policy): string {
  const window = windowMs === undefined || windowMs < 1_000 ? '' : `;w=${whole(Math.ceil(windowMs / 1_000))}`
  const units = unit === undefined || unit === 'requests' ? '' : `;qu="${unit}"`
  // The registry allows no units of one's own; a vendor's parameter is a comment.
  const own = cost === undefined ? '' : `;spillway-cost=${quoted(cost)}`
  return `${quoted(name)};q=${whole(quota)}${units}${window}${own}`
}

/**
 * One item of RateLimit: `name` is quoted already, so much is left, and more comes in `moreMs` (undefined: it is not known, or nothing is used). The
 * seconds are rounded up: whoever waits for them finds more.
 */
export function limitItem(name: string, left: number, moreMs: number | undefined): string {
  const item = `${name};r=${whole(Math.max(0, Math.floor(left)))}`
  return moreMs === undefined || !Number.isFinite(moreMs) ? item : `${item};t=${whole(seconds(moreMs))}`
}

/** Milliseconds as whole seconds that are not shorter. */
export function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1_000))
}

/** A tenth of the wait, at least a second, at most a minute. */
const jitterShare = 0.1
const leastJitterSeconds = 1
const mostJitterSeconds = 60

/**
 * What Retry-After says of a wait: never earlier than it is, and a little later at random, so that those who were refused together do not come
 * back together. At most `max(1, a tenth)` seconds later, and never more than a minute.
 */
export function retryAfter(waitMs: number, random: () => number = Math.random): number {
  const least = seconds(waitMs)
  const most = Math.min(mostJitterSeconds, Math.max(leastJitterSeconds, least * jitterShare))
  return whole(least + Math.floor(random() * (Math.floor(most) + 1)))
}

function whole(value: number): number {
  return Math.min(value, largest)
}
