// Durations as people write them: '250ms', '2s', '5m', '1h', '7d', or a number of milliseconds.
import { SpillwayError } from './errors.ts'

export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A hundred years: every engine can add as much to the time of now. */
export const longestMs: number = 36_500 * units.d

/** The duration in whole milliseconds; throws INVALID_OPTION naming `option` for what is none, negative, or past a hundred years. */
export function milliseconds(duration: Duration, option: string): number {
  const ms = Math.round(typeof duration === 'string' ? written(duration) : duration)
  if (typeof duration !== 'object' && ms >= 0 && ms <= longestMs) return ms
  const shown = typeof duration === 'string' ? JSON.stringify(duration) : String(duration)
  throw new SpillwayError(
    'INVALID_OPTION',
    `${option} is ${shown}, which is no duration up to a hundred years; write '250ms', '2s', '5m', '1h', '7d' or a number of milliseconds.`,
  )
}

function written(duration: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? []
  return digits === undefined ? Number.NaN : Number(digits) * units[unit as keyof typeof units]
}
