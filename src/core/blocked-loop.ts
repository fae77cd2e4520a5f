// Noticing that the event loop was blocked: a tick that comes much later than it was asked for.
import { SpillwayError } from './errors.ts'

/** The report for a tick that came `lateMs` after its time, when that is longer than what was held could last. */
export function blockedLoop(lateMs: number, heldMs: number, what: string): SpillwayError | undefined {
  if (lateMs <= heldMs) return undefined
  return new SpillwayError(
    'LOOP_BLOCKED',
    `The event loop was blocked for ${Math.round(lateMs)} ms, longer than the ${what} of ${heldMs} ms.`,
  )
}
