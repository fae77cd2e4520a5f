// The second look: the envelope of the busiest key, and what all keys need at every rate that could be recommended.
import type { Candidate } from './advice/choose.ts'
import type { Envelope } from './envelope/envelope.ts'
import { EnvelopeOfKey } from './envelope/of-key.ts'
import { together } from './gathering/requests.ts'
import { LargestKeys } from './population/largest.ts'
import { Needs } from './population/needs.ts'
import { type Refill, refillOf, refillsBetween } from './population/refill.ts'
import type { ReadLogs } from './read-logs.ts'
import type { Population } from './report.ts'
import type { Survey } from './survey.ts'

/** Of the keys. */
const shares = [0.5, 0.9, 0.99, 0.999, 1]
/** Of fewer nobody stands out by his volume. */
const fewKeys = 200
const leastRate = 1 / 86_400
/** What comes before this part of the time is learnt from in the hold-out. */
const learnt = 2 / 3

export interface Rate extends Partial<Refill> {
  readonly ratePerSecond: number
}

export interface Measured {
  /** Costs in parts. */
  readonly envelope: Envelope
  readonly rates: readonly Rate[]
  /** For each rate. */
  readonly needs: Needs
  /** Of the requests before `splitAt`. */
  readonly learntNeeds: Needs
  /** Microseconds since 1970. */
  readonly splitAt: number
  /** Those with the most cost, one of a thousand; none where keys are few. */
  readonly largest: ReadonlySet<string>
}

export function measure(logs: ReadLogs, survey: Survey, at: readonly number[]): Measured {
  const { requests, parts } = logs
  const rates = ratesFor(logs, survey, at)
  const inParts = rates.map(({ ratePerSecond }) => ratePerSecond * (parts ?? 1))
  const steps = parts === undefined ? 1_000 : 1
  const splitAt = Math.ceil(logs.from + (logs.to - logs.from) * learnt)
  const ofBusiest = new EnvelopeOfKey(survey.busiest!.key)
  const needs = new Needs({ rates: inParts, steps })
  const learntNeeds = new Needs({ rates: inParts, steps, before: splitAt })
  const largest = new LargestKeys(requests.keys < fewKeys ? 0 : Math.ceil(requests.keys / 1_000))
  requests.each(together(ofBusiest, needs, learntNeeds, largest))
  return { envelope: ofBusiest.finish(), rates, needs, learntNeeds, splitAt, largest: largest.keys }
}

/** From what empties the mean key's requests a hundredth in all the time, to twice the busiest second; and those that were asked for. */
function ratesFor({ facts, parts = 1 }: ReadLogs, survey: Survey, at: readonly number[]): Rate[] {
  const { totalCost, keys, spanSeconds } = facts
  const mean = spanSeconds > 0 ? totalCost / keys / spanSeconds : leastRate
  const readable = refillsBetween(
    Math.max(leastRate, mean / 100),
    Math.max(1, (2 * survey.busiestSecond) / parts),
  )
  const known = new Set(readable.map(({ ratePerSecond }) => ratePerSecond))
  const asked = at.filter((rate) => rate > 0 && !known.has(rate))
  return [...readable, ...asked.map((ratePerSecond) => refillOf(ratePerSecond) ?? { ratePerSecond })].sort(
    (a, b) => a.ratePerSecond - b.ratePerSecond,
  )
}

/** What this share of the keys needs, at the rates that can be written as a rule. */
export function candidatesOf(
  rates: readonly Rate[],
  needs: Needs,
  share: number,
  parts: number,
): Candidate[] {
  return rates.flatMap(({ ratePerSecond, refill, per }, place) =>
    refill === undefined || per === undefined
      ? []
      : [{ ratePerSecond, refill, per, capacity: needs.enoughFor(place, share) / parts }],
  )
}

export function populationOf({ rates, needs }: Measured, parts: number): Population {
  return {
    shares,
    rates: rates.map((rate, place) => ({
      ...rate,
      capacities: shares.map((share) => needs.enoughFor(place, share) / parts),
    })),
  }
}
