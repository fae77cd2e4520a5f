// A ban that grows: so many offences shut a key out for a time, which doubles with each repetition and is forgotten by halves.
import type { Bucket, Numbers } from './bucket.ts'

export interface Ban {
  readonly kind: 'ban'
  /** So many offences begin a ban … */
  readonly limit: number
  /** … that come within this time of the first of them. */
  readonly withinUs: number
  /** How long the first ban lasts … */
  readonly forUs: number
  /** … and the longest. */
  readonly upToUs: number
}

// A bucket is how many offences count towards the next ban, when the first of them was, how long the last ban was, and when it ended or will end. What
// is taken of it are offences; while it is banned none is available, and none is counted.

/** Now, or when the first offence was by a clock that was ahead. */
function timeOf(numbers: Numbers, at: number, nowUs: number): number {
  return Math.max(nowUs, numbers[at + 1]!)
}

function offencesAt(numbers: Numbers, at: number, { withinUs }: Ban, timeUs: number): number {
  return timeUs < numbers[at + 1]! + withinUs ? numbers[at]! : 0
}

/** The length of the last ban: it is halved for each of its own length that has passed since its end, and is nothing once it would be shorter than the first. */
function lengthAt(numbers: Numbers, at: number, { forUs }: Ban, timeUs: number): number {
  let length = numbers[at + 2]!
  let quiet = timeUs - numbers[at + 3]!
  while (length > 0 && quiet >= length) {
    quiet -= length
    length = length >= 2 * forUs ? Math.floor(length / 2) : 0
  }
  return length
}

export const bans: Bucket<Ban> = {
  size: () => 4,

  available(numbers, at, ban, nowUs) {
    const time = timeOf(numbers, at, nowUs)
    // Other rules may begin a ban after fewer than were counted: the next one begins it, and there is none before.
    return time < numbers[at + 3]! ? 0 : Math.max(1, ban.limit - offencesAt(numbers, at, ban, time))
  },

  take(numbers, at, ban, nowUs, cost) {
    const time = timeOf(numbers, at, nowUs)
    if (cost === 0 || time < numbers[at + 3]!) return time
    const before = offencesAt(numbers, at, ban, time)
    if (before + cost >= ban.limit) {
      const length = Math.min(Math.max(2 * lengthAt(numbers, at, ban, time), ban.forUs), ban.upToUs)
      numbers[at] = 0
      numbers[at + 1] = 0
      numbers[at + 2] = length
      numbers[at + 3] = time + length
    } else {
      numbers[at] = before + cost
      if (before === 0) numbers[at + 1] = time
    }
    return time
  },

  earliest(numbers, at, ban, nowUs, cost) {
    if (cost > ban.limit) return Number.POSITIVE_INFINITY
    if (this.available(numbers, at, ban, nowUs) >= cost) return nowUs
    const time = timeOf(numbers, at, nowUs)
    return time < numbers[at + 3]! ? numbers[at + 3]! : numbers[at + 1]! + ban.withinUs
  },

  /** What was done was done. */
  refund() {},

  isIdle(numbers, at, ban, nowUs) {
    const time = timeOf(numbers, at, nowUs)
    return (
      time >= numbers[at + 3]! &&
      offencesAt(numbers, at, ban, time) === 0 &&
      lengthAt(numbers, at, ban, time) === 0
    )
  },
}
