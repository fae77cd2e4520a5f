// When a schedule is due, held against a model that walks every minute of a zone's own clock, as Intl tells it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSpillwayError } from '../core/errors.ts'
import { dueTimes, storedTiming, type Timing } from './due-times.ts'

const [minuteMs, dayMs] = [60_000, 86_400_000]
const zones = [
  'UTC',
  'America/New_York',
  'Europe/Berlin',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'Pacific/Apia',
  'America/Santiago',
  'America/Havana',
  'America/St_Johns',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Asia/Beirut',
  'Asia/Tehran',
  'Antarctica/Troll',
  'Pacific/Chatham',
]

const formats = new Map<string, Intl.DateTimeFormat>()

/** What the clocks of the zone show, as if it were UTC. */
function wallAt(zone: string, time: number): number {
  let format = formats.get(zone)
  if (format === undefined) {
    const digits = 'numeric'
    const date = { year: digits, month: digits, day: digits } as const
    const clock = { hour: digits, minute: digits, second: digits, hourCycle: 'h23' } as const
    format = new Intl.DateTimeFormat('en-US', { timeZone: zone, ...date, ...clock })
    formats.set(zone, format)
  }
  const parts: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(time)) parts[type] = Number(value)
  const { year, month, day, hour, minute, second } = parts
  return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!)
}

const hourMs = 3_600_000
const offset = (zone: string, time: number) => wallAt(zone, time) - time

/** The same for a walk: asks by the minute only within an hour in which the clocks change. */
function clockOf(zone: string): (time: number) => number {
  const byHour = new Map<number, number>()
  const atHour = (time: number): number => {
    const known = byHour.get(time) ?? offset(zone, time)
    byHour.set(time, known)
    return known
  }
  return (time) => {
    const hour = Math.floor(time / hourMs) * hourMs
    const same = atHour(hour) === atHour(hour + hourMs)
    return time + (same ? atHour(hour) : offset(zone, time))
  }
}

interface Pattern {
  readonly cron: string
  readonly fixed: boolean
  readonly matches: (wall: Date) => boolean
}

/** Every due time after `from` and up to `until`, minute by minute. */
function walked(zone: string, { fixed, matches }: Pattern, from: number, until: number): number[] {
  const due = new Set<number>()
  const seen = new Set<number>()
  // Some time before, to know which local times were there already.
  const clock = clockOf(zone)
  let before = clock(from - dayMs - minuteMs)
  for (let time = from - dayMs; time <= until; time += minuteMs) {
    const wall = clock(time)
    const skipped = wall - before - minuteMs
    if (fixed && skipped > 0 && skipped < dayMs)
      for (let gone = before + minuteMs; gone < wall; gone += minuteMs)
        if (matches(new Date(gone))) due.add(time)
    if (matches(new Date(wall)) && !(fixed && seen.has(wall))) due.add(time)
    seen.add(wall)
    before = wall
  }
  return [...due].filter((time) => time > from).sort((a, b) => a - b)
}

function reckoned(zone: string, cron: string, from: number, until: number): number[] {
  const times = dueTimes({ cron, timeZone: zone })
  const due: number[] = []
  for (let next = times.after(from); next <= until; next = times.after(next)) due.push(next)
  return due
}

/** The days of a year on which the zone changes its clocks, and one on which it may not. */
function interestingDays(zone: string, year: number, anyDay: number): number[] {
  const first = Date.UTC(year, 0, 1)
  const days = [first + anyDay * dayMs]
  let before = offset(zone, first)
  for (let day = first; day < first + 365 * dayMs; day += dayMs) {
    const after = offset(zone, day + dayMs)
    if (before !== after) days.push(day)
    before = after
  }
  return days
}

const hours = fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { minLength: 1, maxLength: 4 })
// Mostly at night: that is when clocks change.
const nights = fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 })
const minutes = fc.uniqueArray(
  fc.integer({ min: 0, max: 11 }).map((n) => n * 5),
  { minLength: 1, maxLength: 3 },
)
const weekdays = fc.option(fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 5 }))

const pattern: fc.Arbitrary<Pattern> = fc
  .record({
    minute: fc.oneof(
      minutes,
      fc.constantFrom(7, 15, 20).map((n) => `*/${n}`),
    ),
    hour: fc.oneof(nights, nights, hours, fc.constantFrom('*', '*/2')),
    weekday: weekdays,
  })
  .map(({ minute, hour, weekday }) => {
    const list = (field: string | readonly number[]) => (typeof field === 'string' ? field : field.join(','))
    const has = (field: string | readonly number[], value: number) =>
      typeof field === 'string' ? value % Number(field.split('/')[1] ?? 1) === 0 : field.includes(value)
    return {
      cron: `${list(minute)} ${list(hour)} * * ${weekday === null ? '*' : weekday.join(',')}`,
      fixed: typeof minute !== 'string' && typeof hour !== 'string',
      matches: (wall) =>
        has(minute, wall.getUTCMinutes()) &&
        has(hour, wall.getUTCHours()) &&
        (weekday === null || weekday.includes(wall.getUTCDay())),
    }
  })

test('a pattern is due as the clocks of its zone show it, around every change of them', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({ min: 1995, max: 2037 }),
      fc.integer({ min: 0, max: 364 }),
      fc.nat(),
      fc.integer({ min: 0, max: 1439 }),
      pattern,
      (zone, year, anyDay, choice, minute, wanted) => {
        const days = interestingDays(zone, year, anyDay)
        const from = days[choice % days.length]! - dayMs + minute * minuteMs
        const until = from + 3 * dayMs
        const expected = walked(zone, wanted, from, until)
        expect(reckoned(zone, wanted.cron, from, until)).toEqual(expected)
        const times = dueTimes({ cron: wanted.cron, timeZone: zone })
        for (const count of [1, 30]) expect(times.latest(count, from, until)).toEqual(expected.slice(-count))
      },
    ),
    { numRuns: 60 },
  )
}, 60_000)

const at = (text: string) => Date.parse(text)
const due = (zone: string, cron: string, from: string, until: string) =>
  reckoned(zone, cron, at(from), at(until)).map((time) => new Date(time).toISOString().slice(5, 16))

test('a fixed time that is skipped is due at the first moment after, one that comes twice the first time', () => {
  expect(due('Europe/Berlin', '30 2 * * *', '2026-03-28T12:00Z', '2026-03-30T12:00Z')).toEqual([
    '03-29T01:00',
    '03-30T00:30',
  ])
  expect(due('Europe/Berlin', '0,30 2 * * *', '2026-03-28T12:00Z', '2026-03-29T12:00Z')).toEqual([
    '03-29T01:00',
  ])
  expect(due('Europe/Berlin', '30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T12:00Z')).toEqual([
    '10-25T00:30',
  ])
  expect(due('Australia/Lord_Howe', '15 2 * * *', '2026-10-03T00:00Z', '2026-10-04T00:00Z')).toEqual([
    '10-03T15:30',
  ])
  expect(due('Australia/Lord_Howe', '45 1 * * *', '2026-04-04T00:00Z', '2026-04-05T00:00Z')).toEqual([
    '04-04T14:45',
  ])
})

test('an interval goes on through both: what is skipped is left out, what comes twice is due twice', () => {
  expect(due('America/New_York', '*/30 1-3 * * *', '2026-03-08T05:00Z', '2026-03-08T09:00Z')).toEqual([
    '03-08T06:00',
    '03-08T06:30',
    '03-08T07:00',
    '03-08T07:30',
  ])
  expect(due('America/New_York', '0 * * * *', '2026-11-01T04:00Z', '2026-11-01T08:00Z')).toEqual([
    '11-01T05:00',
    '11-01T06:00',
    '11-01T07:00',
    '11-01T08:00',
  ])
})

test('a day that the calendar skips has no run', () => {
  expect(due('Pacific/Apia', '0 3 * * *', '2011-12-29T00:00Z', '2012-01-01T00:00Z')).toEqual([
    '12-29T13:00',
    '12-30T13:00',
    '12-31T13:00',
  ])
})

test('every so often counts from 1970, without a gap or a doubling', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_000, max: 400 * dayMs }),
      fc.integer({ min: 0, max: at('2400-01-01T00:00Z') }),
      fc.integer({ min: 0, max: 6 }),
      (everyMs, time, count) => {
        const times = dueTimes({ everyMs })
        const next = times.after(time)
        expect(next).toBeGreaterThan(time)
        expect(next - time).toBeLessThanOrEqual(everyMs)
        expect(next % everyMs).toBe(0)
        const until = next + count * everyMs + everyMs / 2
        const all = Array.from({ length: count + 1 }, (_, index) => next + index * everyMs)
        expect(times.latest(10, time, until)).toEqual(all)
        expect(times.latest(2, time, until)).toEqual(all.slice(-2))
        expect(times.latest(2, next, next)).toEqual([])
      },
    ),
  )
})

test.each([
  [{ cron: '61 * * * *' }, /cron is "61 \* \* \* \*": Invalid value for minute: 61/],
  [{ cron: '* * *' }, /five fields/],
  [{ cron: '' }, /five fields/],
  [{ cron: '0 3 * * * * 2030' }, /five fields/],
  [{ cron: '? * * * *' }, /five fields/],
  [{ cron: '@reboot' }, /five fields/],
  [{ cron: '2030-01-01T00:00:00Z' }, /five fields/],
  [{ cron: 'a b c d e' }, /cron is "a b c d e"/],
  [{ cron: '0 0 31 2 *' }, /"0 0 31 2 \*", and there is no such date/],
  [{ cron: '0 0 30 2 *', timeZone: 'Asia/Kolkata' }, /no such date/],
  [{ cron: '0 3 * * *', timeZone: 'Mars/Olympus' }, /timeZone is "Mars\/Olympus"/],
  [{ cron: '0 3 * * *', timeZone: '' }, /timeZone is ""/],
  [{ cron: '0 3 * * *', timeZone: '+02:00' }, /timeZone is "\+02:00"/],
  [{ every: '500ms' }, /at least a second/],
  [{ every: 'soon' }, /every is "soon"/],
  [{}, /either cron or every/],
  [{ cron: '0 3 * * *', every: '1h' }, /either cron or every/],
] as [Timing, RegExp][])('%j is refused with what is wrong', (timing, message) => {
  let error: unknown
  try {
    storedTiming(timing)
  } catch (thrown) {
    error = thrown
  }
  expect(isSpillwayError(error, 'INVALID_OPTION'), String(error)).toBe(true)
  expect(String(error)).toMatch(message)
})

test('what means the same is stored the same', () => {
  expect(storedTiming({ cron: '  0   3 * * * ' })).toEqual({ cron: '0 3 * * *', timeZone: 'UTC' })
  expect(storedTiming({ every: '90s' })).toEqual(storedTiming({ every: 90_000 }))
  expect(storedTiming({ cron: '0 0 29 2 *' })).toEqual({ cron: '0 0 29 2 *', timeZone: 'UTC' })
  for (const cron of ['@daily', '0 0 L * *', '0 9 * * MON-FRI', '0 0 12 * * 1#2', '*/10 * * * * *'])
    expect(storedTiming({ cron })).toEqual({ cron, timeZone: 'UTC' })
})
