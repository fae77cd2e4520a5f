// Which rows of a report are worth a line.
import type { PopulationPoint, RefusedPoint, Report } from '../../limit/tune/report.ts'

/** How many vertices of a curve are shown. */
const mostRows = 12

/** So many of them, the first and the last among them. */
export function someOf<Item>(items: readonly Item[]): Item[] {
  if (items.length <= mostRows) return [...items]
  const step = (items.length - 1) / (mostRows - 1)
  return Array.from({ length: mostRows }, (_, row) => items[Math.round(row * step)]!)
}

/** The recommended rate, those that were asked for, and around them those at which a capacity changes by a quarter or more. */
export function tellingRates({ population: { rates }, recommendation, at }: Report): PopulationPoint[] {
  const asked = new Set([recommendation.ratePerSecond, ...at.map(({ ratePerSecond }) => ratePerSecond)])
  let last: PopulationPoint | undefined
  const telling = rates.filter((each) => {
    const changed = each.capacities.some(
      (capacity, index) => capacity <= (last?.capacities[index] ?? Number.POSITIVE_INFINITY) * 0.75,
    )
    if (!changed && !asked.has(each.ratePerSecond)) return false
    last = each
    return true
  })
  const place = telling.findIndex(({ ratePerSecond }) => ratePerSecond === recommendation.ratePerSecond)
  const from = Math.max(0, Math.min(place - mostRows / 2, telling.length - mostRows))
  return telling.filter(
    ({ ratePerSecond }, index) => (index >= from && index < from + mostRows) || asked.has(ratePerSecond),
  )
}

export interface RefusedRow {
  readonly rate: PopulationPoint
  /** For each capacity. */
  readonly cells: readonly RefusedPoint[]
}

/** By rate and capacity. */
export function refusedMatrix({ refused, population }: Report): {
  readonly capacities: readonly number[]
  readonly rows: readonly RefusedRow[]
} {
  const capacities = [...new Set(refused.map(({ capacity }) => capacity))]
  const rates = [...new Set(refused.map(({ ratePerSecond }) => ratePerSecond))]
  return {
    capacities,
    rows: rates.map((rate) => ({
      rate: population.rates.find(({ ratePerSecond }) => ratePerSecond === rate)!,
      cells: refused.filter(({ ratePerSecond }) => ratePerSecond === rate),
    })),
  }
}
