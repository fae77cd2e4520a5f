// Durations as people write them: '250ms', '2s', '5m', '1h', '7d', or a number of milliseconds.
import { SpillwayError } from './errors.ts'

export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The duration in whole milliseconds; throws INVALID_OPTION naming `option` for what is none or negative. */
export function milliseconds(duration: Duration, option: string): number {
  if (typeof duration === 'number' && Number.isFinite(duration) && duration >= 0) return Math.round(duration)
  const parts = typeof duration === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) : null
  if (parts) return Math.round(Number(parts[1]) * units[parts[2] as keyof typeof units])
  throw new SpillwayError(
    'INVALID_OPTION',
    `${option} is ${JSON.stringify(duration)}, which is no duration; write '250ms', '2s', '5m', '1h' or a number of milliseconds.`,
  )
}
