// How many events lie between two positions, as far as positions tell.
import { count } from '../output/words.ts'

/** Engines whose positions rise by much more than 1. */
const sparse: ReadonlySet<string> = new Set(['nats'])

export function distance(engine: string, positions: number): string {
  if (positions === 0 || !sparse.has(engine)) return count(positions)
  return `≤ ${count(positions)}`
}
