// Rates that nginx can count by, and what limit_req allows with them.
import type { Wish } from './wish.ts'

/** nginx counts in thousandths of a request a second, and reads whole numbers a second or a minute. */
export interface NginxRate {
  readonly text: string
  readonly milli: number
}

export interface NginxBucket {
  readonly rate: NginxRate
  /** So many at once. */
  readonly capacity: number
  readonly most: number
}

/** The fastest rate of which this is true; it is true of slower ones then. Undefined when even the slowest one is too fast. */
function fastest(isSlowEnough: (milli: number) => boolean): NginxRate | undefined {
  const perSecond = greatest((number) => isSlowEnough(1_000 * number))
  const perMinute = greatest((number) => isSlowEnough(minute(number)))
  if (minute(perMinute) > 1_000 * perSecond) return { text: `${perMinute}r/m`, milli: minute(perMinute) }
  return perSecond > 0 ? { text: `${perSecond}r/s`, milli: 1_000 * perSecond } : undefined
}

/** As nginx reads `rate=…r/m`: what is left of a thousandth is gone. */
function minute(number: number): number {
  return Math.floor((1_000 * number) / 60)
}

/** Zero for none. nginx multiplies by a thousand, and by milliseconds. */
function greatest(isTrue: (number: number) => boolean): number {
  let [low, high] = [0, 1_000_000_000]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (isTrue(middle)) low = middle
    else high = middle - 1
  }
  return low
}

/** What is let through in any window: what is there at its beginning, and what comes meanwhile. */
export function mostIn(capacity: number, milli: number, windowMs: number): number {
  return capacity + cameIn(milli, windowMs)
}

function cameIn(milli: number, windowMs: number): number {
  return Number((BigInt(milli) * BigInt(Math.ceil(windowMs))) / 1_000_000n)
}

/** Those who wait are let go by a timer of whole milliseconds, which are rounded down. */
export const timerMs = 3

/** Undefined where nginx has no rate that is slow enough. `waits`: in a line. */
export function nginxBucket(
  wish: Exclude<Wish, { kind: 'atOnce' }>,
  waits: boolean,
): NginxBucket | undefined {
  const windowMs = wish.windowMs + (waits ? timerMs : 0)
  if (wish.kind === 'bucket') {
    const [tokens, us] = [BigInt(wish.tokens), BigInt(wish.us)]
    const rate = fastest((milli) => BigInt(milli) * us <= tokens * 1_000_000_000n)
    return rate && { rate, capacity: wish.capacity, most: mostIn(wish.capacity, rate.milli, windowMs) }
  }
  const { limit } = wish
  const least = wish.kind === 'pace' ? limit - 1 : Math.floor(limit / 2)
  // Half of it at once and half of it refilled; more refilled where nginx can do it no slower.
  const rate =
    fastest((milli) => cameIn(milli, windowMs) <= least) ??
    (cameIn(minute(1), windowMs) < limit ? { text: '1r/m', milli: minute(1) } : undefined)
  if (rate === undefined) return undefined
  const capacity = wish.kind === 'pace' ? 1 : limit - cameIn(rate.milli, windowMs)
  return { rate, capacity, most: mostIn(capacity, rate.milli, windowMs) }
}
