// Where a tail begins: what a person writes behind --from.
import { InvalidArgumentError } from 'commander'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { asError } from '../../core/errors.ts'

export type From = 'earliest' | 'latest' | Date

/** `earliest`, `latest`, a time (`2026-11-23T06:50`), or how long ago (`15m`). */
export function from(text: string, now: number = Date.now()): From {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text))
    try {
      return new Date(now - milliseconds(text as Duration, 'the time ago'))
    } catch (thrown) {
      throw new InvalidArgumentError(asError(thrown).message)
    }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : undefined
  if (time && !Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError(
    'It takes earliest, latest, a time as 2026-11-23T06:50Z, or how long ago as 15m, 2h.',
  )
}
