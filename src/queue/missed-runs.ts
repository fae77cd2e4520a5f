// Which due times fire: the rule for those that nobody was there for.
import type { DueTimes } from './due-times.ts'

/**
 * What becomes of due times that passed while nothing fired them: `once`, one run for the latest; `skip`, none; `all`, each, up to the
 * latest 100. A due time that fires within a minute was not missed.
 */
export type Missed = 'once' | 'skip' | 'all'

export const missedRules: readonly Missed[] = ['once', 'skip', 'all']

/** So late a due time is still on time. */
const graceMs = 60_000
const mostRuns = 100

export interface Runs {
  /** Due times that fire now, in their order. */
  readonly fire: readonly number[]
  /** There were others, or it is too late for all: they do not fire. */
  readonly leftOut: boolean
}

/** `due` is the stored due time, and has passed: it counts as one, also when the times would not have it by now. */
export function runsOf(times: DueTimes, missed: Missed, due: number, now: number): Runs {
  const most = missed === 'all' ? mostRuns : 1
  const later = times.latest(most + 1, due, now)
  const passed = later.length > most ? later : [due, ...later]
  const fire = passed.slice(-most)
  if (missed === 'skip' && now - fire[0]! > graceMs) return { fire: [], leftOut: true }
  return { fire, leftOut: passed.length > most }
}
