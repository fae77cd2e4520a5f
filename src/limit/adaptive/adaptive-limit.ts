// How much work at the same time is enough: one number that finds itself from how long work takes.
//
// The gradient of Netflix's concurrency-limits (github.com/Netflix/concurrency-limits, `GradientLimit`) and of Envoy's adaptive concurrency filter: what
// latency has grown by over that without a queue is taken off the number, and the root of the number is added, to feel for more room. As there, the
// latency without a queue is measured anew now and then, with fewer at work. A round is described by its median: one slow request says nothing.
import type { WorkEnd } from '../decision.ts'

export interface AdaptiveBounds {
  readonly from: number
  readonly upTo: number
}

/** Latency may grow by so much before it counts: medians are not exact. */
const tolerance = 1.1
/** What dropped work leaves of the number: additive increase, multiplicative decrease. */
const afterDrop = 0.9
/** A round in which fewer of its places were needed says nothing about the number. */
const neededShare = 0.8
const fewestSamples = 16
const mostSamples = 256
/** The latency without a queue is measured anew after so many rounds, and so long. */
const baseRounds = 50
const baseAgeUs = 10_000_000

export class AdaptiveLimit {
  #bounds: AdaptiveBounds
  #number: number
  /** When work ended last. */
  lastUs = 0
  /** The latency without a queue; 0 until it is known. */
  #baseUs = 0
  #basedUs = 0
  #roundsSince = 0
  /** The largest number since. */
  #height = 0
  /** While it is measured, the number from before. */
  #before: number | undefined
  /** Of this round: its beginning, how long work took that began in it, how much was dropped, and how much was at work. */
  #roundUs = Number.NEGATIVE_INFINITY
  #samples: number[] = []
  #drops = 0
  #peak = 0

  constructor(bounds: AdaptiveBounds) {
    this.#bounds = bounds
    this.#number = bounds.from
  }

  /** A whole number, never outside the bounds. */
  get limit(): number {
    return Math.floor(this.#number)
  }

  /** For the same rule, declared again. */
  goBy(bounds: AdaptiveBounds): void {
    this.#bounds = bounds
    this.#number = this.#within(this.#before ?? this.#number)
    this.#before = undefined
  }

  /** Work that began at `beganUs` is over; `atWork` is how much there was, with it. */
  end(beganUs: number, nowUs: number, atWork: number, how: WorkEnd): void {
    this.lastUs = nowUs
    this.#peak = Math.max(this.#peak, atWork)
    // What began before speaks of the number before.
    if (how === 'unmeasured' || beganUs < this.#roundUs) return
    if (how === 'dropped') this.#drops += 1
    else this.#samples.push(nowUs - beganUs)
    const wanted = Math.min(Math.max(4 * this.limit, fewestSamples), mostSamples)
    if (this.#samples.length + this.#drops >= wanted) this.#endRound(nowUs)
  }

  #endRound(nowUs: number): void {
    this.#number = this.#within(this.#next(nowUs))
    this.#height = Math.max(this.#height, this.#number)
    this.#roundUs = nowUs
    this.#samples = []
    this.#drops = 0
    this.#peak = 0
  }

  #next(nowUs: number): number {
    const number = this.#number
    if (this.#drops > 0) {
      const before = this.#before ?? number
      this.#before = undefined
      return before * afterDrop
    }
    const medianUs = Math.max(1, medianOf(this.#samples))
    if (this.#before !== undefined) {
      const before = this.#before
      this.#before = undefined
      this.#base(medianUs, nowUs, before)
      return before
    }
    if (this.#baseUs === 0) this.#base(medianUs, nowUs, number)
    // By and by: the smallest of many medians is smaller than any is.
    if (medianUs < this.#baseUs) this.#baseUs += (medianUs - this.#baseUs) / 10
    this.#roundsSince += 1
    if (this.#peak < neededShare * this.limit) return number
    const gradient = Math.min(1, Math.max(0.5, (this.#baseUs * tolerance) / medianUs))
    const next = this.#within(number * gradient + Math.sqrt(number))
    const isOld = this.#roundsSince >= baseRounds && nowUs - this.#basedUs >= baseAgeUs
    // When so much was taken off the service itself may take longer than it did.
    if (!isOld && next >= this.#height / 2) return next
    this.#before = next
    return next / 2
  }

  #base(medianUs: number, nowUs: number, number: number): void {
    this.#baseUs = medianUs
    this.#basedUs = nowUs
    this.#roundsSince = 0
    this.#height = number
  }

  #within(number: number): number {
    const { from, upTo } = this.#bounds
    return Math.min(Math.max(number, from), upTo)
  }
}

function medianOf(values: number[]): number {
  values.sort((a, b) => a - b)
  return values[values.length >>> 1]!
}
