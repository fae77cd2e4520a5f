// When a schedule is due: by a cron pattern in a time zone, or every so often.
//
// Around changes of the clock a pattern whose hours, minutes and seconds are all named (numbers, lists, ranges) is a fixed time:
// where its local time is skipped it is due at the first moment after, and where it comes twice the first time. Any other is an
// interval: it leaves out what is skipped, and is due both times. (As in Vixie cron. docs/decisions/0010-schedules.md)
import { Cron } from 'croner'
import { type Duration, milliseconds } from '../core/duration.ts'
import { asError, SpillwayError } from '../core/errors.ts'

/** As a user writes it. */
export type Timing =
  | {
      /** Five fields (minute, hour, day of the month, month, weekday), or six with seconds before them, or '@daily' and its like. */
      readonly cron: string
      /** A name of the IANA database, as 'Europe/Berlin'. Default 'UTC'. */
      readonly timeZone?: string
      readonly every?: never
    }
  | {
      /** At least a second, counted from 1970 in UTC: '1h' is every full hour. */
      readonly every: Duration
      readonly cron?: never
      readonly timeZone?: never
    }

/** As it is stored: the same for all that mean the same. */
export type StoredTiming = { readonly cron: string; readonly timeZone: string } | { readonly everyMs: number }

/** All times are milliseconds since the epoch. */
export interface DueTimes {
  /** The first due time later than this. */
  after(time: number): number
  /** The last `count` due times later than `after` and not later than `until`, in their order. */
  latest(count: number, after: number, until: number): number[]
}

const shortestMs = 1_000
const nickname = /^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/i

/** Throws INVALID_OPTION for what can never be due, or not as it is written. */
export function storedTiming(timing: Timing): StoredTiming {
  const { cron, timeZone = 'UTC', every } = timing
  if ((cron === undefined) === (every === undefined)) throw invalid('A schedule takes either cron or every')
  if (every !== undefined) {
    const everyMs = milliseconds(every, 'every')
    if (everyMs < shortestMs) throw invalid(`every is ${everyMs} ms; it is at least a second`)
    return { everyMs }
  }
  if (typeof cron !== 'string') throw invalid('cron is no text')
  const stored = { cron: cron.trim().replace(/\s+/g, ' '), timeZone }
  // Asked once now, so that a date that never comes is refused here.
  dueTimes(stored).after(Date.now())
  return stored
}

/** Throws INVALID_OPTION for a timing that this program cannot read. */
export function dueTimes(timing: StoredTiming): DueTimes {
  return 'everyMs' in timing ? everySoOften(timing.everyMs) : byPattern(timing.cron, timing.timeZone)
}

function everySoOften(everyMs: number): DueTimes {
  return {
    after: (time) => (Math.floor(time / everyMs) + 1) * everyMs,
    latest(count, after, until) {
      const times: number[] = []
      for (let at = Math.floor(until / everyMs) * everyMs; at > after && times.length < count; at -= everyMs)
        times.unshift(at)
      return times
    },
  }
}

function byPattern(pattern: string, timeZone: string): DueTimes {
  checkZone(timeZone)
  const shown = JSON.stringify(pattern)
  const fields = pattern.split(' ').length
  // A question mark would be the time at which this is read.
  if (!nickname.test(pattern) && (fields < 5 || fields > 6 || pattern.includes('?')))
    throw invalid(
      `cron is ${shown}; it has five fields (minute, hour, day, month, weekday), or six with seconds before them`,
    )
  const cron = parsed(pattern, timeZone)
  return {
    after(time) {
      const next = cron.nextRun(new Date(time))
      if (next === null) throw invalid(`cron is ${shown}, and there is no such date`)
      return next.getTime()
    },
    latest(count, after, until) {
      // One more, from a second later: croner counts in whole seconds.
      const runs = cron.previousRuns(count + 1, new Date(until + 1_000)).map((run) => run.getTime())
      return runs
        .filter((run) => run > after && run <= until)
        .sort((a, b) => a - b)
        .slice(-count)
    },
  }
}

function parsed(pattern: string, timeZone: string): Cron {
  try {
    return new Cron(pattern, {
      timezone: timeZone,
      paused: true,
      mode: '5-or-6-parts',
      fixedTimeRule: 'no-wildcard',
    })
  } catch (thrown) {
    const why = asError(thrown).message.replace(/^\w+: /, '')
    throw invalid(`cron is ${JSON.stringify(pattern)}: ${why.replace(/\.$/, '')}`)
  }
}

function checkZone(timeZone: string): void {
  try {
    if (/^[A-Za-z]/.test(timeZone) && new Intl.DateTimeFormat('en', { timeZone })) return
  } catch {}
  throw invalid(
    `timeZone is ${JSON.stringify(timeZone)}; it is a name of the IANA database that this program knows, as 'Europe/Berlin'`,
  )
}

function invalid(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', `${what}.`)
}
