// Which bucket of many: of those that never refuse the wanted share of keys the one that lets through least in the worst
// time; and the knee of the curve that they form.
import type { Refill } from '../population/refill.ts'

export interface Candidate extends Refill {
  /** What the wanted share of keys needs at this rate, rounded up. */
  readonly capacity: number
}

/** The most cost that one key can get through in any interval of this length. */
export function worstCase(
  { capacity, ratePerSecond }: Pick<Candidate, 'capacity' | 'ratePerSecond'>,
  seconds: number,
): number {
  return capacity + ratePerSecond * seconds
}

/** Of several the one with the least refill; undefined for none. */
export function leastInWorst(candidates: readonly Candidate[], seconds: number): Candidate | undefined {
  let best: Candidate | undefined
  for (const each of candidates)
    if (!best || worstCase(each, seconds) < worstCase(best, seconds) * (1 - 1e-12)) best = each
  return best
}

/**
 * Where more refill begins to save little capacity: the farthest point from the chord of the curve, both axes logarithmic and as long as
 * each other (Satopää, Albrecht, Irwin, Raghavan: Finding a "Kneedle" in a Haystack, 2011). Undefined for a curve that is level.
 */
export function kneeOf(candidates: readonly Candidate[]): Candidate | undefined {
  // Beyond the last that saves anything there is only the level part.
  const floor = candidates.at(-1)?.capacity
  const end = candidates.findIndex(({ capacity }) => capacity === floor)
  const falling = candidates.slice(0, end + 1)
  const [first] = falling
  const last = falling.at(-1)
  if (!first || !last || first.capacity <= last.capacity || last.capacity <= 0) return undefined
  const along = (each: Candidate) =>
    Math.log(each.ratePerSecond / first.ratePerSecond) / Math.log(last.ratePerSecond / first.ratePerSecond)
  const down = (each: Candidate) =>
    Math.log(first.capacity / each.capacity) / Math.log(first.capacity / last.capacity)
  let best: Candidate | undefined
  let farthest = 0
  for (const each of falling) {
    const distance = down(each) - along(each)
    if (distance > farthest + 1e-12) {
      farthest = distance
      best = each
    }
  }
  return best
}
