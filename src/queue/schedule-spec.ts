// A schedule as it stands in the store, opaque to the engine.
import { asError, SpillwayError } from '../core/errors.ts'
import type { StoredSchedule } from '../ports/queue-schedules.ts'
import type { StoredTiming } from './due-times.ts'
import { type Missed, missedRules } from './missed-runs.ts'

export interface ScheduleSpec {
  readonly timing: StoredTiming
  readonly missed: Missed
  /** What it sends: see schedule-message.ts. */
  readonly message: string
}

/** A schedule of a queue, as it is stored. */
export interface Schedule {
  readonly name: string
  /** Undefined where it is due `everyMs`. */
  readonly cron: string | undefined
  readonly timeZone: string | undefined
  readonly everyMs: number | undefined
  readonly missed: Missed
  readonly due: Date
  /** The due time that it fired for last. */
  readonly last: Date | undefined
}

/** Equal specs are equal texts. */
export function specText({ timing, missed, message }: ScheduleSpec): string {
  return JSON.stringify({ timing, missed, message })
}

/** Returns the error for what was not written here, or by a program that knows more. */
export function readSpec({ name, spec }: StoredSchedule): ScheduleSpec | SpillwayError {
  try {
    const { timing, missed, message } = JSON.parse(spec) as Partial<ScheduleSpec>
    if (isTiming(timing) && missed !== undefined && missedRules.includes(missed) && isMessage(message))
      return { timing, missed, message }
    return unreadable(name, 'it says what this program does not know')
  } catch (thrown) {
    return unreadable(name, asError(thrown).message)
  }
}

function isTiming(timing: unknown): timing is StoredTiming {
  if (typeof timing !== 'object' || timing === null) return false
  if ('everyMs' in timing) return Number.isSafeInteger(timing.everyMs) && Number(timing.everyMs) > 0
  const { cron, timeZone } = timing as Partial<Record<string, unknown>>
  return typeof cron === 'string' && typeof timeZone === 'string'
}

function isMessage(text: unknown): text is string {
  if (typeof text !== 'string') return false
  const message: unknown = JSON.parse(text)
  return typeof message === 'object' && message !== null
}

export function toSchedule(stored: StoredSchedule, { timing, missed }: ScheduleSpec): Schedule {
  const { name, due, last } = stored
  return {
    name,
    cron: 'cron' in timing ? timing.cron : undefined,
    timeZone: 'cron' in timing ? timing.timeZone : undefined,
    everyMs: 'everyMs' in timing ? timing.everyMs : undefined,
    missed,
    due: new Date(due),
    last: last === undefined ? undefined : new Date(last),
  }
}

function unreadable(name: string, why: string): SpillwayError {
  const what = `The schedule ${name} cannot be read: ${why}. It is kept, and does not fire here.`
  return new SpillwayError('UNKNOWN_VERSION', what)
}
