// Which buckets are tried around the recommended one.
import type { Candidate } from './advice/choose.ts'

type Point = Pick<Candidate, 'ratePerSecond' | 'capacity'>

const factors = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
/** How many capacities of lines are tried. */
const lines = 8

/** Rates and capacities up to eight times less and more, and the capacities that shares of the keys need; in so many steps of a unit. */
export function bucketsAround(
  chosen: Candidate,
  candidates: readonly Candidate[],
  needed: readonly number[],
  perUnit: number,
): Point[] {
  const nearest = (rate: number) =>
    candidates.reduce((best, each) =>
      Math.abs(Math.log(each.ratePerSecond / rate)) < Math.abs(Math.log(best.ratePerSecond / rate))
        ? each
        : best,
    ).ratePerSecond
  const rates = new Set(factors.map((factor) => nearest(chosen.ratePerSecond * factor)))
  const { capacity } = chosen
  const steps = (of: number) => Math.ceil(of * perUnit) / perUnit
  const capacities = new Set([...[capacity / 4, capacity / 2, capacity * 2].map(steps), capacity, ...needed])
  capacities.delete(0)
  return [...rates].flatMap((ratePerSecond) =>
    [...capacities].sort((a, b) => a - b).map((each) => ({ ratePerSecond, capacity: each })),
  )
}

/** From the dearest request, below which it would wait for ever, to what refuses nothing, rising. */
export function lineCapacities(dearest: number, most: number): number[] {
  const least = Math.max(1e-6, dearest)
  const ratio = Math.max(1, most / least)
  const found = Array.from({ length: lines }, (_, index) => {
    const capacity = least * ratio ** (index / (lines - 1))
    return capacity >= 8 ? Math.round(capacity) : Math.round(capacity * 100) / 100
  })
  return [...new Set([...found.slice(1, -1), least, Math.max(least, most)])]
    .filter((each) => each >= least && each <= Math.max(least, most))
    .sort((a, b) => a - b)
}
