// The bound of a rule: its form, its numbers for each plan, and the algorithm that keeps it.
import { boundOf } from '../../core/bucket/algorithm.ts'
import { describe } from '../../core/errors.ts'
import { isTimeZone } from '../calendar.ts'
import type { Bound, CalendarUnit, CheckedRule } from './checked-rule.ts'
import { bySize, choose, type Written } from './choose.ts'
import type { Fields } from './fields.ts'
import { periodUs, usualMonthMs } from './period.ts'

const forms = ['capacity', 'atMost', 'pace', 'atOnce'] as const
const largest = 1_000_000_000_000

type Read = Pick<CheckedRule, 'bounds' | 'perUs' | 'calendar' | 'adaptive'>

/** Undefined when a problem was found. */
export function readBound(fields: Fields): Read | undefined {
  const given = forms.filter((form) => fields.has(form))
  if (given.length !== 1) {
    const said = given.length === 0 ? 'it says no bound' : `it says ${given.join(' and ')} at once`
    return fields.wrong(
      given[1],
      `${said}; write one of: capacity with refill and per, atMost with per, pace with per, atOnce`,
    )
  }
  const form = given[0]!
  for (const [field, of] of [
    ['refill', 'capacity'],
    ['window', 'atMost'],
    ['timeZone', 'atMost'],
    ['from', 'atOnce'],
    ['upTo', 'atOnce'],
  ] as const)
    if (form !== of && fields.has(field))
      fields.wrong(field, `it goes with ${of}, and this rule says ${form}`)
  if (form === 'atOnce' && fields.has('per'))
    fields.wrong(
      'per',
      'a rule of how many at the same time has no period; for so many in a period write atMost',
    )
  if (fields.get('atOnce') === 'adaptive') return readAdaptive(fields)
  for (const field of ['from', 'upTo'])
    if (form === 'atOnce' && fields.has(field)) fields.wrong(field, 'it goes with `atOnce: adaptive`')
  const calendar = readCalendar(fields)
  const perUs = form === 'atOnce' ? 0 : readPeriod(fields, form, calendar?.unit)
  const numbers = readNumbers(fields, form)
  const refills = form === 'capacity' ? readNumbers(fields, 'refill') : undefined
  if (perUs === undefined || numbers === undefined || (form === 'capacity' && refills === undefined))
    return undefined
  if (refills !== undefined && [...refills.keys()].sort().join() !== [...numbers.keys()].sort().join())
    return fields.wrong('refill', 'it names other plans than capacity; give a number for each plan in both')
  const window = calendar ? 'calendar' : fields.word('window', ['sliding', 'calendar', 'key'])
  const plans = [...numbers].map(([plan, number]): [string | undefined, Written] => {
    if (form === 'capacity') return [plan, { form: 'bucket', capacity: number, refill: refills!.get(plan)! }]
    if (form === 'atMost') return [plan, { form, limit: number, window }]
    return [plan, form === 'pace' ? { form, pace: number } : { form, limit: number }]
  })
  const algorithms = choose(
    plans.map(([, written]) => written),
    perUs,
  )
  if (algorithms === undefined)
    return fields.wrong(
      form,
      'its numbers cannot be counted exactly, for a bucket that takes years to fill or holds too much for so slow a refill; write a smaller bound, a shorter period, or numbers that divide the period',
    )
  const bounds = algorithms
    .map((algorithm, i): Bound => ({ plan: plans[i]![0], limit: boundOf(algorithm), algorithm }))
    .toSorted((a, b) => bySize(a.algorithm, b.algorithm))
  return {
    bounds: bounds as [Bound, ...Bound[]],
    perUs: form === 'atOnce' ? undefined : perUs,
    calendar,
    adaptive: undefined,
  }
}

function readAdaptive(fields: Fields): Read | undefined {
  const from = readNumber(fields, 'from', fields.get('from'))
  const upTo = readNumber(fields, 'upTo', fields.get('upTo'))
  if (from === undefined || upTo === undefined) return undefined
  if (from >= upTo)
    return fields.wrong('upTo', `it is ${upTo}, and from is ${from}: between them is no number to be found`)
  const bound: Bound = { plan: undefined, limit: upTo, algorithm: { kind: 'concurrency', limit: upTo } }
  return { bounds: [bound], perUs: undefined, calendar: undefined, adaptive: { from, upTo } }
}

function readCalendar(fields: Fields): CheckedRule['calendar'] {
  if (fields.get('window') !== 'calendar') {
    if (fields.has('timeZone'))
      fields.wrong('timeZone', 'it goes with `window: calendar`; other windows have none')
    return undefined
  }
  const unit = fields.get('per')
  if (unit !== 'hour' && unit !== 'day' && unit !== 'week' && unit !== 'month')
    return fields.wrong('per', `it is ${describe(unit)}; a calendar has hour, day, week and month`)
  const timeZone = fields.get('timeZone') ?? 'UTC'
  if (typeof timeZone !== 'string' || !isTimeZone(timeZone))
    return fields.wrong(
      'timeZone',
      `it is ${describe(timeZone)}, which is none; write one such as 'Europe/Berlin' or 'UTC'`,
    )
  return { unit, timeZone }
}

function readPeriod(fields: Fields, form: string, unit: CalendarUnit | undefined): number | undefined {
  if (unit === 'month') return usualMonthMs * 1_000
  if (!fields.has('per'))
    return fields.wrong('per', `${form} needs a period: per: second, minute, hour, day, week, or '10s'`)
  const period = periodUs(fields.get('per'))
  return typeof period === 'number' ? period : fields.wrong('per', period)
}

/** By plan; undefined is the plan of a rule that has none. */
function readNumbers(fields: Fields, field: string): ReadonlyMap<string | undefined, number> | undefined {
  const value = fields.get(field)
  if (typeof value !== 'object' || value === null) {
    const number = readNumber(fields, field, value)
    return number === undefined ? undefined : new Map([[undefined, number]])
  }
  const plans = Object.entries(value)
  if (plans.length === 0) return fields.wrong(field, 'it names no plan; write a number, or one for each plan')
  const numbers = plans.flatMap(([plan, each]) => {
    const number = readNumber(fields, field, each)
    return number === undefined ? [] : [[plan, number] as const]
  })
  return numbers.length === plans.length ? new Map(numbers) : undefined
}

function readNumber(fields: Fields, field: string, value: unknown): number | undefined {
  if (value === undefined) return fields.wrong(field, 'it is missing')
  if (value === 0)
    return fields.wrong(
      field,
      'it is 0: such a rule would allow nothing, ever; to refuse something, do not serve it',
    )
  const longer =
    field === 'capacity' || field === 'atOnce' || field === 'from' || field === 'upTo'
      ? ''
      : "; for less than one in a period write a longer one: 1 per '2s'"
  return fields.whole(field, value, 1, largest, longer)
}
