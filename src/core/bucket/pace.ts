// The leaky bucket that shapes: each has its turn, one after the other, and at most `line` are waiting for theirs.
import type { Bucket, Numbers } from './bucket.ts'
import { type Flow, flowOf, type TokenBucket, tokenBuckets } from './token-bucket.ts'

export interface Pace extends Flow {
  readonly kind: 'pace'
  /** Those who wait, and the one whose turn it is. */
  readonly capacity: number
}

/** Undefined when microseconds do not count it exactly. `pace` and `perUs` are whole numbers from 1, `line` from 0. */
export function paceOf(pace: number, perUs: number, line: number): Pace | undefined {
  const flow = flowOf(line + 1, pace, perUs, 1)
  return flow && { kind: 'pace', capacity: line + 1, ...flow }
}

/** It is a token bucket of which each token is a turn that has been given out and is not over: what is missing says when the next one comes. */
const asTokens = (pace: Pace): TokenBucket => pace as unknown as TokenBucket

/** When the turn comes of the one who takes now: now, or when those before are through. */
export function turnOf(numbers: Numbers, at: number, pace: Pace, nowUs: number): number {
  return Math.max(nowUs, comesAt(numbers, at, pace, 0))
}

/** When all that is missing will have come, but for so many units. */
function comesAt(numbers: Numbers, at: number, pace: Pace, but: number): number {
  return numbers[at + 1]! + Math.ceil((numbers[at]! - but) / pace.rate)
}

export const paces: Bucket<Pace> = {
  size: () => 2,

  available: (numbers, at, pace, nowUs) => tokenBuckets.available(numbers, at, asTokens(pace), nowUs),

  /** Returns the turn. */
  take(numbers, at, pace, nowUs, cost) {
    const turn = turnOf(numbers, at, pace, nowUs)
    tokenBuckets.take(numbers, at, asTokens(pace), nowUs, cost)
    return turn
  },

  earliest: (numbers, at, pace, nowUs, cost) =>
    tokenBuckets.earliest(numbers, at, asTokens(pace), nowUs, cost),

  /** Only the last turn can be given back: those behind another one have been told when theirs comes, and two would go at once. */
  refund(numbers, at, pace, nowUs, cost, turnUs) {
    if (turnUs <= nowUs || comesAt(numbers, at, pace, cost * pace.unit) !== turnUs) return
    tokenBuckets.refund(numbers, at, asTokens(pace), nowUs, cost, turnUs)
  },

  isIdle: (numbers, at, pace, nowUs) => tokenBuckets.isIdle(numbers, at, asTokens(pace), nowUs),
}
