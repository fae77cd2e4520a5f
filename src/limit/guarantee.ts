// What a rule promises in the worst case, in any window, in words and in numbers.
import type { Bound, CheckedRule } from './rule/checked-rule.ts'
import { periodText } from './rule/period.ts'
import { checkRules } from './rule/read-rules.ts'
import type { Rule } from './rule/rule.ts'

export interface Guarantee {
  /** Of a rule with plans, the one that it is for: of a bucket that is asked by this plan alone. */
  readonly plan: string | undefined
  /** In one sentence. */
  readonly text: string
  /** The rule's period; undefined for how many at the same time. */
  readonly windowMs: number | undefined
  /** No more than this is allowed in any window of that length, wherever it begins; of `atOnce`, at the same time. */
  readonly most: number
  /** The same for windows of another length. Infinity where only the number at the same time is bounded. */
  mostIn(windowMs: number): number
}

/** The true worst case of a rule, one for each plan, the smallest first. Throws INVALID_RULE for a rule that cannot hold. */
export function guaranteeOf(rule: Rule, keys: Iterable<string> = []): readonly Guarantee[] {
  return guaranteesOf(checkRules({ rule }, keys)[0]!)
}

export function guaranteesOf(rule: CheckedRule): readonly Guarantee[] {
  return rule.bounds.map((bound) => {
    const mostIn = (windowMs: number) => worstCase(rule, bound, windowMs * 1_000)
    const windowMs = rule.perUs === undefined ? undefined : rule.perUs / 1_000
    const most = windowMs === undefined ? bound.limit : mostIn(windowMs)
    return { plan: bound.plan, text: textOf(rule, bound, most), windowMs, most, mostIn }
  })
}

function worstCase({ over, calendar }: CheckedRule, { algorithm }: Bound, windowUs: number): number {
  switch (algorithm.kind) {
    case 'token-bucket': {
      const { capacity, unit, rate, tickUs } = algorithm
      const comes = (Math.ceil(windowUs / tickUs) * rate) / unit
      // One that is alone in its bucket waits for the next to come: what is not there at the window's beginning came in it.
      return over === 'wait' && capacity === 1 ? Math.max(1, Math.ceil(comes)) : capacity + Math.floor(comes)
    }
    case 'log':
      return algorithm.limit * Math.ceil(windowUs / algorithm.perUs)
    case 'sliding-window':
      return algorithm.limit * Math.ceil(windowUs / (16 * algorithm.sliceUs))
    case 'fixed-window':
      return algorithm.limit * (Math.ceil(windowUs / algorithm.perUs) + 1)
    case 'calendar-window':
      return algorithm.limit * (Math.ceil(windowUs / shortestUs(calendar!)) + 1)
    case 'concurrency':
      return Number.POSITIVE_INFINITY
  }
}

/** The shortest window of a calendar: February, and where clocks are put forward. */
function shortestUs({ unit, timeZone }: NonNullable<CheckedRule['calendar']>): number {
  const hours = { hour: 1, day: 24, week: 168, month: 28 * 24 }[unit]
  const forward = timeZone === 'UTC' ? 0 : unit === 'hour' ? 0.5 : 1
  return (hours - forward) * 3_600_000_000
}

function textOf(
  { over, perUs, calendar, by, adaptive }: CheckedRule,
  { algorithm }: Bound,
  most: number,
): string {
  const each = by.length === 0 ? '' : ' for each key'
  const period = perUs === undefined ? '' : periodText(perUs)
  const any = /^\d/.test(period) ? `any ${period}` : `any ${period}, wherever it begins`
  switch (algorithm.kind) {
    case 'token-bucket':
      if (over === 'wait' && algorithm.capacity === 1) return `${most}${each} in ${any}, one after the other`
      return `${algorithm.capacity} at once and what is refilled, so at most ${most}${each} in ${any}`
    case 'log':
      return `at most ${most}${each} in ${any}; refused only when as many stand in the last ${period}`
    case 'sliding-window':
      return `at most ${most}${each} in ${any}; what was used comes back after the ${period}, up to a sixteenth of it later`
    case 'fixed-window':
      return `at most ${algorithm.limit} in each ${period} that begins with a first request${each}, so up to ${most} in ${any}`
    case 'calendar-window':
      return `at most ${algorithm.limit} in each ${calendar!.unit} of the calendar (${calendar!.timeZone})${each}, so up to ${2 * algorithm.limit} within moments across its border`
    case 'concurrency':
      return adaptive === undefined
        ? `at most ${most} at the same time${each}`
        : `at most ${most} at the same time${each}, and from ${adaptive.from} on only as many as work takes no longer for`
  }
}
