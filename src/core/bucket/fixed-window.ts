// Fixed windows: `limit` in each. A window begins with a bucket's first unit, or ends when a calendar says so.
import type { Bucket, Numbers } from './bucket.ts'

/** A bucket's window begins with its first unit and is `perUs` long. */
export interface FixedWindow {
  readonly kind: 'fixed-window'
  readonly limit: number
  readonly perUs: number
}

/** The window is that of a calendar; whoever has the calendar says when the one of now ends. */
export interface CalendarWindow {
  readonly kind: 'calendar-window'
  readonly limit: number
  readonly endUs: number
}

// A bucket is the end of its window, and how many were taken in it. A window that has ended is none, and one that has begun never ends earlier.

function countIn(numbers: Numbers, at: number, open: boolean): number {
  return open ? numbers[at + 1]! : 0
}

function add(numbers: Numbers, at: number, limit: number, count: number, cost: number): void {
  numbers[at + 1] = Math.max(count, Math.min(count + cost, 2 * limit))
}

/** What was taken in a window that is over came back with its end. A window in which nothing is left has not begun. */
function giveBack(numbers: Numbers, at: number, cost: number, endUs: number): void {
  if (numbers[at] !== endUs) return
  numbers[at + 1] = Math.max(numbers[at + 1]! - cost, 0)
  if (numbers[at + 1] === 0) numbers[at] = 0
}

export const fixedWindows: Bucket<FixedWindow> = {
  size: () => 2,

  available(numbers, at, { limit }, nowUs) {
    return limit - countIn(numbers, at, nowUs < numbers[at]!)
  },

  take(numbers, at, { limit, perUs }, nowUs, cost) {
    if (cost === 0) return numbers[at]!
    const open = nowUs < numbers[at]!
    add(numbers, at, limit, countIn(numbers, at, open), cost)
    if (!open) numbers[at] = nowUs + perUs
    return numbers[at]!
  },

  earliest(numbers, at, window, nowUs, cost) {
    if (cost > window.limit) return Number.POSITIVE_INFINITY
    return this.available(numbers, at, window, nowUs) >= cost ? nowUs : numbers[at]!
  },

  refund: (numbers, at, _window, _nowUs, cost, endUs) => giveBack(numbers, at, cost, endUs),

  isIdle: (numbers, at, _window, nowUs) => nowUs >= numbers[at]!,
}

export const calendarWindows: Bucket<CalendarWindow> = {
  size: () => 2,

  available(numbers, at, { limit, endUs }) {
    return limit - countIn(numbers, at, endUs <= numbers[at]!)
  },

  take(numbers, at, { limit, endUs }, _nowUs, cost) {
    if (cost === 0) return numbers[at]!
    const open = endUs <= numbers[at]!
    add(numbers, at, limit, countIn(numbers, at, open), cost)
    if (!open) numbers[at] = endUs
    return numbers[at]!
  },

  earliest(numbers, at, window, nowUs, cost) {
    if (cost > window.limit) return Number.POSITIVE_INFINITY
    return this.available(numbers, at, window, nowUs) >= cost ? nowUs : numbers[at]!
  },

  refund: (numbers, at, _window, _nowUs, cost, endUs) => giveBack(numbers, at, cost, endUs),

  isIdle: (numbers, at, { endUs }) => endUs > numbers[at]!,
}
