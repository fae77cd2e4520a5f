// The recommendation in full: the chosen bucket, what it allows at worst, how sure it is, and why it was chosen.

import type { LogFacts } from '../log-facts.ts'
import type { Tally } from '../population/tally.ts'
import type { Recommendation } from '../report.ts'
import { type Candidate, worstCase } from './choose.ts'

export interface Choice {
  readonly chosen: Candidate
  readonly honest: number
  readonly worstSeconds: number
  readonly knee: Candidate | null
  /** What the keys need at the chosen rate, in so many parts of a unit. */
  readonly tally: Tally
  readonly perUnit: number
  /** Share of the keys. */
  readonly servedKeys: number
  readonly evenlySpread: number | null
  readonly facts: LogFacts
  /** Of a unit of cost; undefined where costs are real numbers. */
  readonly parts: number | undefined
}

/** Of a normal distribution, for 95 of 100. */
const deviations = 1.96

export function recommend(choice: Choice): Recommendation {
  const { chosen, honest, worstSeconds, knee, servedKeys, evenlySpread, parts } = choice
  // Where costs are whole, so is what gets through.
  const atWorst = (seconds: number) =>
    parts === undefined
      ? worstCase(chosen, seconds)
      : Math.floor(worstCase(chosen, seconds) * parts + 1e-9) / parts
  return {
    ...chosen,
    honest,
    servedKeys,
    worst: {
      second: atWorst(1),
      minute: atWorst(60),
      hour: atWorst(3_600),
      seconds: worstSeconds,
      asked: atWorst(worstSeconds),
    },
    burstSeconds: chosen.capacity / chosen.ratePerSecond,
    interval: intervalOf(choice),
    evenlySpread,
    knee,
    reasons: reasonsOf(choice),
  }
}

/** Between which of the keys' needs, in order, the share lies if other keys of the same kind had come. */
function intervalOf({ tally, honest, perUnit, chosen }: Choice): readonly [number, number | null] {
  const { keys } = tally
  const middle = keys * honest
  const swing = deviations * Math.sqrt(keys * honest * (1 - honest))
  const upper = Math.ceil(middle + swing) + 1
  return [
    Math.min(chosen.capacity, tally.ofRank(Math.floor(middle - swing)) / perUnit),
    upper > keys ? null : tally.ofRank(upper) / perUnit,
  ]
}

function reasonsOf({ chosen, honest, worstSeconds, knee, servedKeys, facts }: Choice): string[] {
  const { key, keys } = facts
  const rate = `${chosen.refill} per ${chosen.per}`
  const whom =
    key === 'global'
      ? 'all traffic together'
      : honest === 1
        ? `every one of the ${keys} keys`
        : `${shown(honest * 100)}% of the ${keys} keys`
  const reasons = [
    `Refill ${rate} needs a capacity of ${shown(chosen.capacity)}, so that ${whom} is never refused${key === 'global' ? '' : ` (here: ${shown(servedKeys * 100)}%)`}.`,
    `Of all refills this one lets a key get through least in ${shown(worstSeconds)} seconds at worst: ${shown(worstCase(chosen, worstSeconds))}. With less refill the capacity grows by more than is saved, with more refill the other way round.`,
  ]
  if (knee && knee.ratePerSecond !== chosen.ratePerSecond)
    reasons.push(
      `The knee of the curve is at ${knee.refill} per ${knee.per} with a capacity of ${shown(knee.capacity)}: beyond it more refill saves little capacity.`,
    )
  return reasons
}

function shown(value: number): string {
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(5)))
}
