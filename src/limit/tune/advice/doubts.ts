// What the data cannot bear: said beside every recommendation.
import type { LogFacts } from '../log-facts.ts'
import type { KeyTotals } from '../survey.ts'

export interface Doubt {
  readonly about: 'keys' | 'time' | 'stamps' | 'refused' | 'lines' | 'one-key' | 'rule'
  readonly text: string
}

const enoughKeys = 200
const day = 86_400

export interface Doubtful {
  readonly facts: LogFacts
  readonly busiest: KeyTotals
  /** That is recommended. */
  readonly ratePerSecond: number
  /** Whether limits can count the recommended bucket. */
  readonly canHold: boolean
  /** Whether costs are rounded up to what it counts in. */
  readonly rounded: boolean
}

export function doubtsOf({ facts, busiest, ratePerSecond, canHold, rounded }: Doubtful): Doubt[] {
  const { keys, spanSeconds, resolutionSeconds, refusedThen, brokenLines, withoutKey, requests, totalCost } =
    facts
  const global = facts.key === 'global'
  const found: Doubt[] = []
  if (!global && keys < enoughKeys)
    found.push({
      about: 'keys',
      text: `Too thin: ${keys} keys. Shares of keys mean little below ${enoughKeys}; read the curve of the busiest key instead.`,
    })
  if (spanSeconds < 2 * day)
    found.push({
      about: 'time',
      text: 'Too thin: less than two days. The busiest hour of a day was seen once at most, and the hold-out compares hours, not days.',
    })
  if (isCoarse(resolutionSeconds, ratePerSecond))
    found.push({
      about: 'stamps',
      text: `Time stamps are multiples of ${unit(resolutionSeconds)}: at ${number(ratePerSecond)} a second a capacity may be off by ${number(ratePerSecond * resolutionSeconds)} either way. Figures take the requests of one stamp as coming at once.`,
    })
  if (refusedThen > 0)
    found.push({
      about: 'refused',
      text: `${refusedThen} requests were refused with 429 when they were recorded: some clients slowed down, others tried again.`,
    })
  if (brokenLines + withoutKey > requests / 100)
    found.push({
      about: 'lines',
      text: `${brokenLines} broken lines and ${withoutKey} requests without a key are more than a hundredth of what was computed with.`,
    })
  if (!global && keys > 1 && busiest.cost > totalCost / 5)
    found.push({
      about: 'one-key',
      text: `One key makes ${Math.round((100 * busiest.cost) / totalCost)}% of all cost: ${busiest.key.slice(0, 100)}. If it is many clients behind one address, or a job of your own, try --without it.`,
    })
  if (!canHold)
    found.push({
      about: 'rule',
      text: 'No bucket for this traffic can be counted exactly by the limits: its capacity is too large. Count costs in larger units.',
    })
  if (rounded)
    found.push({
      about: 'rule',
      text: 'Costs have more than six digits behind the point, and limits count whole numbers: the rule counts in millionths, each cost rounded up.',
    })
  return found
}

/** Whether stamps change the answer: whole seconds and more always deserve to be spoken of. */
export function isCoarse(resolutionSeconds: number, ratePerSecond: number): boolean {
  return resolutionSeconds >= 1 || resolutionSeconds * ratePerSecond >= 0.5
}

function unit(seconds: number): string {
  if (seconds >= day) return 'a day'
  if (seconds >= 3_600) return 'an hour'
  if (seconds >= 60) return 'a minute'
  return seconds >= 1 ? 'a second' : `${number(seconds * 1_000)} ms`
}

function number(value: number): string {
  return String(Number(value.toPrecision(3)))
}
