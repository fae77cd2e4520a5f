// What an envelope answers: the smallest capacity for a refill, and the vertices of that curve.

/** The upper hull of (duration, cost) over all intervals: durations rise from 0, in microseconds, and costs rise with them. */
export interface Envelope {
  readonly durations: Float64Array
  readonly costs: Float64Array
}

export interface CurvePoint {
  /** Refill, in units of cost. */
  readonly ratePerSecond: number
  /** The smallest capacity that refuses nothing, in units of cost. */
  readonly capacity: number
}

const second = 1_000_000

/** The smallest capacity with which a bucket of this refill refuses nothing; 0 for no requests. */
export function capacityAt({ durations, costs }: Envelope, ratePerSecond: number): number {
  let most = 0
  for (let index = 0; index < durations.length; index++)
    most = Math.max(most, costs[index]! - (ratePerSecond * durations[index]!) / second)
  return most
}

/**
 * Where the curve bends, from refill 0 to the one from which on only the dearest instant counts. Between two vertices it is
 * straight, and level after the last. `unit` is what one unit of the envelope's costs is worth.
 */
export function curveOf({ durations, costs }: Envelope, unit: (cost: number) => number): CurvePoint[] {
  if (durations.length === 0) return []
  const points: CurvePoint[] = [{ ratePerSecond: 0, capacity: unit(costs.at(-1)!) }]
  for (let index = durations.length - 1; index > 0; index--) {
    const duration = durations[index - 1]!
    const rise = costs[index]! - costs[index - 1]!
    const run = durations[index]! - duration
    points.push({
      ratePerSecond: unit((rise * second) / run),
      capacity: unit(costs[index - 1]! - (rise * duration) / run),
    })
  }
  return points
}
