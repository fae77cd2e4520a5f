// The third look: what the recommended bucket and those around it do to the recorded requests.
import { Bootstrap } from './advice/bootstrap.ts'
import { type Candidate, worstCase } from './advice/choose.ts'
import type { Envelope } from './envelope/envelope.ts'
import { EnvelopeOfKey } from './envelope/of-key.ts'
import { together } from './gathering/requests.ts'
import { Evenly } from './population/evenly.ts'
import { Needs } from './population/needs.ts'
import type { ReadLogs } from './read-logs.ts'
import type {
  DeferralPoint,
  ForcedBy,
  HoldOut,
  RefusedPoint,
  SeparationPoint,
  SeparationTable,
  ServiceLoad,
  ServicePeak,
} from './report.ts'
import { Buckets } from './simulation/buckets.ts'
import { Deferral } from './simulation/deferral.ts'
import { ForcingKeys } from './simulation/forcing.ts'
import { bestOf, Separation } from './simulation/separation.ts'
import { Service } from './simulation/service.ts'

export interface Trial {
  readonly chosen: Candidate
  /** Around the chosen one; in units of the log. */
  readonly around: readonly Pick<Candidate, 'ratePerSecond' | 'capacity'>[]
  readonly lineCapacities: readonly number[]
  /** Learnt from what is before `splitAt`. */
  readonly learnt: Candidate | undefined
  readonly splitAt: number
  readonly busiest: string
  readonly honest: number
  readonly abusive: ReadonlySet<string>
  readonly abusiveBy: SeparationTable['by']
}

export interface Tried {
  readonly service: ServiceLoad
  readonly separation: SeparationTable | null
  /** Of the chosen bucket. */
  readonly servedKeys: number
  readonly refused: readonly RefusedPoint[]
  readonly forcedBy: readonly ForcedBy[]
  readonly deferral: readonly DeferralPoint[]
  readonly holdOut: HoldOut | null
  /** Of the busiest key, costs in parts, with the requests of a stamp spread evenly. */
  readonly spreadEnvelope: Envelope
  /** What the honest share of keys needs at the chosen rate, with the requests of a stamp spread evenly. */
  readonly spreadCapacity: number
}

export function tryOut({ requests, parts = 1, facts, from, to }: ReadLogs, trial: Trial): Tried {
  const { chosen, splitAt, learnt } = trial
  const rate = chosen.ratePerSecond * parts
  const bucket = (of: Pick<Candidate, 'ratePerSecond' | 'capacity'>) => ({
    rate: of.ratePerSecond * parts,
    capacity: of.capacity * parts,
  })
  const tried = new Buckets({ buckets: [chosen, ...trial.around].map(bucket) })
  const forcing = new ForcingKeys(rate)
  const deferral = new Deferral(
    rate,
    trial.lineCapacities.map((capacity) => capacity * parts),
  )
  const spreadEnvelope = new EnvelopeOfKey(trial.busiest)
  const spreadNeeds = new Needs({ rates: [rate], steps: parts === 1 ? 1_000 : 1 })
  const unit = facts.resolutionSeconds * 1e6
  const bootstrap = new Bootstrap()
  const onKey = (refused: number, count: number) => bootstrap.add(refused, count)
  const tests = learnt ? [bucket(learnt)] : []
  const before = new Buckets({ buckets: tests, before: splitAt, onKey })
  const after = new Buckets({ buckets: tests, from: splitAt })
  const [inSecond, inMinute] = [1, 60].map((seconds) => Service.of(seconds * 1e6, from, to, bucket(chosen)))
  const told = [chosen, ...trial.around.filter((each) => tellsOf(each, chosen))]
  const separation = trial.abusive.size > 0 ? new Separation(told.map(bucket), trial.abusive) : undefined
  requests.each(
    together(
      tried,
      ...[inSecond, inMinute, separation].filter((each) => each !== undefined),
      forcing,
      deferral,
      new Evenly(together(spreadEnvelope, spreadNeeds), unit),
      ...(learnt ? [before, after] : []),
    ),
  )
  const peak = (service: Service | undefined, seconds: number): ServicePeak | null => {
    if (service === undefined) return null
    const { keys, asked, admitted } = service.peak
    return {
      keys,
      asked: asked / parts,
      admitted: admitted / parts,
      atMost: keys * worstCase(chosen, seconds),
    }
  }
  return {
    service: { second: peak(inSecond, 1), minute: peak(inMinute, 60) },
    separation:
      separation && separation.abusiveKeys > 0 ? separated(separation, told, trial.abusiveBy) : null,
    servedKeys: 1 - shares(tried, 0).keys,
    refused: trial.around.map((each, index) => {
      const found = shares(tried, index + 1)
      return {
        ratePerSecond: each.ratePerSecond,
        capacity: each.capacity,
        requests: found.refused,
        keys: found.keys,
      }
    }),
    forcedBy: forcing.found.map((each) => ({
      key: each.key,
      requests: each.requests,
      capacity: each.need / parts,
      served: each.need <= chosen.capacity * parts * (1 + 1e-9) + 1e-9,
      from: iso(each.from),
      to: iso(each.to),
      requestsWithin: each.requestsWithin,
      costWithin: each.costWithin / parts,
    })),
    deferral: trial.lineCapacities.map((capacity, index) => {
      const delays = deferral.delays[index]!
      return {
        capacity,
        waiting: delays.count / facts.requests,
        delaySeconds: {
          p50: delays.within(0.5) / 1e6,
          p99: delays.within(0.99) / 1e6,
          longest: delays.longest / 1e6,
        },
        depth: deferral.depths[index]! / parts,
      }
    }),
    holdOut: learnt && after.requests > 0 ? holdOut(learnt, splitAt, before, after, bootstrap) : null,
    spreadEnvelope: spreadEnvelope.finish(),
    spreadCapacity: spreadNeeds.enoughFor(0, trial.honest) / parts,
  }
}

type Point = Pick<Candidate, 'ratePerSecond' | 'capacity'>

/** Those with the one or the other of the recommendation. */
function tellsOf({ ratePerSecond, capacity }: Point, chosen: Point): boolean {
  return (ratePerSecond === chosen.ratePerSecond) !== (capacity === chosen.capacity)
}

function separated(
  separation: Separation,
  told: readonly Point[],
  by: SeparationTable['by'],
): SeparationTable {
  const points = told.map(
    ({ ratePerSecond, capacity }, place): SeparationPoint => ({
      ratePerSecond,
      capacity,
      ...separation.of(place),
    }),
  )
  const { abusiveKeys, honestKeys } = separation
  const [recommended, ...others] = points
  return { by, abusiveKeys, honestKeys, points: [recommended!, ...bestOf(others)] }
}

function holdOut(
  rule: Candidate,
  splitAt: number,
  before: Buckets,
  after: Buckets,
  bootstrap: Bootstrap,
): HoldOut {
  const predicted = shares(before, 0)
  const found = shares(after, 0)
  const interval = bootstrap.interval()
  return {
    splitAt: iso(splitAt),
    rule,
    predicted: { requests: predicted.refused, keys: predicted.keys, interval },
    found: { requests: found.refused, keys: found.keys },
    held: found.refused <= interval[1],
  }
}

function shares(buckets: Buckets, place: number): { refused: number; keys: number } {
  const { refused, refusedKeys } = buckets.outcomes[place]!
  return { refused: refused / Math.max(1, buckets.requests), keys: refusedKeys / Math.max(1, buckets.keys) }
}

function iso(micros: number): string {
  return new Date(micros / 1_000).toISOString()
}
