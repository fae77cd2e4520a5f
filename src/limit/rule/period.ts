// Periods as rules write them.
import type { Duration } from '../../core/duration.ts'
import { milliseconds } from '../../core/duration.ts'
import { describe } from '../../core/errors.ts'

const words: Readonly<Record<string, number>> = {
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
}

/** Calendars have months; the usual one here only tells how long a window is. */
export const usualMonthMs: number = 30 * 86_400_000

/** In microseconds; a text is the reason why it is none. */
export function periodUs(written: unknown): number | string {
  const word = typeof written === 'string' && Object.hasOwn(words, written) ? words[written] : undefined
  if (word !== undefined) return word * 1_000
  if (written === 'month' || written === 'year')
    return `a ${written} has no fixed length; write \`window: calendar\` with per: month, or a duration such as '30d'`
  if (typeof written !== 'string' && typeof written !== 'number') return noPeriod(written)
  try {
    const ms = milliseconds(written as Duration, 'per')
    return ms > 0 ? ms * 1_000 : `${describe(written)} is no time at all`
  } catch {
    return noPeriod(written)
  }
}

function noPeriod(written: unknown): string {
  return `${describe(written)} is no period; write second, minute, hour, day, week, or a duration such as '10s'`
}

/** 'second', '10 seconds', 'day'; for people. */
export function periodText(us: number): string {
  const ms = us / 1_000
  const units = Object.entries(words).toReversed()
  const [word, unitMs] = units.find(([, each]) => ms % each === 0) ?? ['ms', 1]
  const count = ms / unitMs
  if (count === 1) return word
  return word === 'ms' ? `${count} ms` : `${count} ${word}s`
}
