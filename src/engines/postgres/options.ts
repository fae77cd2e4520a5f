// Numbers that come with a call, checked before anything is done.
import { SpillwayError } from '../../core/errors.ts'

/** A hundred years: more than anyone waits, and far from what a timestamp cannot carry. */
const maxMs = 100 * 365 * 86_400_000

/** Throws INVALID_OPTION unless the value is a number (a whole one for counts) from `least` to `most`. */
export function checkOption(
  name: string,
  value: number,
  kind: 'count' | 'time',
  least: number,
  most: number = kind === 'time' ? maxMs : Number.MAX_SAFE_INTEGER,
): void {
  if (value >= least && value <= most && (kind === 'time' || Number.isInteger(value))) return
  const what = kind === 'time' ? 'a number of milliseconds' : 'a whole number'
  const range = most >= Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes ${what} ${range}.`, {
    engine: 'postgres',
  })
}
