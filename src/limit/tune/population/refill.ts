// Refills as people write them: a whole number per second, minute, hour or day.

export interface Refill {
  readonly ratePerSecond: number
  readonly refill: number
  readonly per: Per
}

export type Per = 'second' | 'minute' | 'hour' | 'day'

const seconds: Readonly<Record<Per, number>> = { second: 1, minute: 60, hour: 3_600, day: 86_400 }
const units = Object.keys(seconds) as Per[]
const steps = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80]

/** Those between two rates, rising: each unit as far as the next one begins, ten or so for every tenfold. */
export function refillsBetween(least: number, most: number): Refill[] {
  const found: Refill[] = []
  const add = (refill: number, per: Per) => {
    const ratePerSecond = refill / seconds[per]
    if (ratePerSecond >= least && ratePerSecond <= most) found.push({ ratePerSecond, refill, per })
  }
  for (const [per, bound] of [
    ['day', 24],
    ['hour', 60],
    ['minute', 60],
  ] as const)
    for (const step of steps) if (step < bound) add(step, per)
  const first = steps.filter((step) => step < 10)
  for (const step of first) add(step, 'second')
  for (let power = 1; 10 ** power <= most; power++)
    for (const step of steps.filter((each) => each >= 10)) add((step * 10 ** power) / 10, 'second')
  return found
}

/** The rate as a whole number per something; undefined where it is none. */
export function refillOf(ratePerSecond: number): Refill | undefined {
  for (const per of units) {
    const exact = ratePerSecond * seconds[per]
    const refill = Math.round(exact)
    if (refill > 0 && Math.abs(exact - refill) < 1e-9 * refill) return { ratePerSecond, refill, per }
  }
  return undefined
}
