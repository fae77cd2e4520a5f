// The sliding window counter: counts in slices of the window instead of the time of each unit, so that its size does not grow with the limit.
import type { Bucket, Numbers } from './bucket.ts'

export interface SlidingWindow {
  readonly kind: 'sliding-window'
  readonly limit: number
  /** A sixteenth of the window. A unit counts until the sixteenth slice after its own has ended: for the window, and at most a slice longer. */
  readonly sliceUs: number
}

/** How many slices stand behind the current one. */
export const slicesBehind = 16
const slots = slicesBehind + 1

export function slidingWindow(limit: number, perUs: number): SlidingWindow {
  return { kind: 'sliding-window', limit, sliceUs: Math.ceil(perUs / slicesBehind) }
}

// A bucket is the slice in which it was last used, the sum of its counts, and the count of each slice, at its number modulo 17.

/** How many of its units still count in a slice, which is not before the bucket's. */
function countAt(numbers: Numbers, at: number, slice: number): number {
  const last = numbers[at]!
  if (slice - last >= slots) return 0
  let count = numbers[at + 1]!
  for (let gone = last + 1; gone <= slice; gone++) count -= numbers[at + 2 + (gone % slots)]!
  return count
}

function sliceAt(numbers: Numbers, at: number, { sliceUs }: SlidingWindow, nowUs: number): number {
  return Math.max(Math.floor(nowUs / sliceUs), numbers[at]!)
}

/** Forgets the slices that no longer count. */
function advance(numbers: Numbers, at: number, slice: number): void {
  const last = numbers[at]!
  if (slice === last) return
  numbers[at + 1] = countAt(numbers, at, slice)
  const from = Math.max(last + 1, slice - slicesBehind)
  for (let gone = from; gone <= slice; gone++) numbers[at + 2 + (gone % slots)] = 0
  numbers[at] = slice
}

export const slidingWindows: Bucket<SlidingWindow> = {
  size: () => 2 + slots,

  available(numbers, at, window, nowUs) {
    return window.limit - countAt(numbers, at, sliceAt(numbers, at, window, nowUs))
  },

  take(numbers, at, window, nowUs, cost) {
    const slice = sliceAt(numbers, at, window, nowUs)
    advance(numbers, at, slice)
    const taken = Math.max(0, Math.min(cost, 2 * window.limit - numbers[at + 1]!))
    numbers[at + 1] = numbers[at + 1]! + taken
    const slot = at + 2 + (slice % slots)
    numbers[slot] = numbers[slot]! + taken
    return slice * window.sliceUs
  },

  earliest(numbers, at, window, nowUs, cost) {
    if (cost > window.limit) return Number.POSITIVE_INFINITY
    const slice = sliceAt(numbers, at, window, nowUs)
    let lacking = cost - (window.limit - countAt(numbers, at, slice))
    if (lacking <= 0) return nowUs
    // Slices that the bucket has not come to yet are empty.
    for (let old = slice - slicesBehind; old <= numbers[at]!; old++) {
      if (old < 0) continue
      lacking -= numbers[at + 2 + (old % slots)]!
      if (lacking <= 0) return (old + slots) * window.sliceUs
    }
    return Number.POSITIVE_INFINITY
  },

  refund(numbers, at, window, nowUs, cost, takenUs) {
    const slice = sliceAt(numbers, at, window, nowUs)
    advance(numbers, at, slice)
    const taken = Math.floor(takenUs / window.sliceUs)
    if (taken > slice || taken < slice - slicesBehind) return
    const slot = at + 2 + (taken % slots)
    const back = Math.min(cost, numbers[slot]!)
    numbers[slot] = numbers[slot]! - back
    numbers[at + 1] = numbers[at + 1]! - back
  },

  isIdle(numbers, at, window, nowUs) {
    return countAt(numbers, at, sliceAt(numbers, at, window, nowUs)) === 0
  },
}
