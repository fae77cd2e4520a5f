// Windows of a calendar in a time zone: when the one of now ends, also where a day has 23 or 25 hours.
import type { CalendarUnit } from './rule/checked-rule.ts'

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** Weeks begin on Monday (ISO 8601). The returned function takes and returns milliseconds since the epoch. */
export function windowEnds(unit: CalendarUnit, timeZone: string): (nowMs: number) => number {
  const format = new Intl.DateTimeFormat('en', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  /** What the clock on the wall shows, as if it were UTC. */
  const wall = (ms: number): number => {
    const parts: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(ms)) parts[type] = Number(value)
    return Date.UTC(parts.year!, parts.month! - 1, parts.day, parts.hour, parts.minute, parts.second)
  }
  return (nowMs) => firstAt(wall, next(unit, wall(nowMs)), nowMs)
}

const hourMs = 3_600_000

/** The first moment after `nowMs` at which the wall shows `wallMs` or later: clocks that are put forward pass over some. */
function firstAt(wall: (ms: number) => number, wallMs: number, nowMs: number): number {
  // Between them lies every offset that a zone has, or changes to meanwhile.
  let [before, after] = [Math.max(nowMs, wallMs - 15 * hourMs), wallMs + 15 * hourMs]
  // Where clocks are put back the wall shows a time twice: the first counts. No zone does so twice in a day.
  const hits = [-1, 1].flatMap((side) => {
    const guess = wallMs - (wall(wallMs + side * 24 * hourMs) - (wallMs + side * 24 * hourMs))
    return guess > nowMs && wall(guess) === wallMs ? [guess] : []
  })
  if (hits.length > 0) return Math.min(...hits)
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (wall(middle) >= wallMs) after = middle
    else before = middle
  }
  return after
}

/** Where the next window begins on a wall that shows `wallMs`. */
function next(unit: CalendarUnit, wallMs: number): number {
  const date = new Date(wallMs)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  switch (unit) {
    case 'hour':
      return Date.UTC(year, month, day, date.getUTCHours() + 1)
    case 'day':
      return Date.UTC(year, month, day + 1)
    case 'week':
      return Date.UTC(year, month, day + 7 - ((date.getUTCDay() + 6) % 7))
    case 'month':
      return Date.UTC(year, month + 1)
  }
}
