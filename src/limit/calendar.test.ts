// Windows of a calendar: where they end in zones whose clocks are changed.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isTimeZone, windowEnds } from './calendar.ts'

const end = (unit: Parameters<typeof windowEnds>[0], zone: string, now: string) =>
  new Date(windowEnds(unit, zone)(Date.parse(now))).toISOString()

test.each([
  ['hour', 'Asia/Kolkata', '2026-01-01T00:00:00Z', '2026-01-01T00:30:00.000Z'],
  ['day', 'UTC', '2026-02-28T23:59:59.999Z', '2026-03-01T00:00:00.000Z'],
  ['day', 'UTC', '2026-03-01T00:00:00Z', '2026-03-02T00:00:00.000Z'],
  ['week', 'UTC', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00.000Z'],
  ['month', 'America/New_York', '2026-12-31T12:00:00Z', '2027-01-01T05:00:00.000Z'],
  // 23 and 25 hours.
  ['day', 'Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00.000Z'],
  ['day', 'Europe/Berlin', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00.000Z'],
  // The wall shows two o'clock twice: the window of one o'clock ends at the first.
  ['hour', 'Europe/Berlin', '2026-10-24T23:30:00Z', '2026-10-25T00:00:00.000Z'],
  // Midnight does not happen: clocks go from 24 to 1.
  ['day', 'Africa/Cairo', '2026-04-23T12:00:00Z', '2026-04-23T22:00:00.000Z'],
] as const)('%s in %s at %s', (unit, zone, now, expected) => {
  expect(end(unit, zone, now)).toBe(expected)
})

test('a window ends after now, and not before the next hour, day, week or month of any zone', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/St_Johns',
    'Australia/Lord_Howe',
    'Africa/Cairo',
    'Pacific/Apia',
    'America/Santiago',
  ]
  const lengths = { hour: [0, 2], day: [0, 26], week: [0, 170], month: [0, 745] } as const
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom('hour', 'day', 'week', 'month'),
      fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2030, 0) }),
      (zone, unit, now) => {
        const hours = (windowEnds(unit, zone)(now) - now) / 3_600_000
        expect(hours).toBeGreaterThan(lengths[unit][0])
        expect(hours).toBeLessThanOrEqual(lengths[unit][1])
      },
    ),
    { numRuns: 300 },
  )
})

test('time zones by their names', () => {
  expect(['UTC', 'Europe/Berlin', 'Mars/Olympus', ''].map(isTimeZone)).toEqual([true, true, false, false])
})
