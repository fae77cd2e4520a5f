// Recorded traffic in, what a token bucket for it needs out. Decision 23 says what it promises and how it is done.
import { SpillwayError } from '../../core/errors.ts'
import { kneeOf, leastInWorst } from './advice/choose.ts'
import { doubtsOf, isCoarse } from './advice/doubts.ts'
import { recommend } from './advice/recommend.ts'
import { canHold, proposeRule } from './advice/rules.ts'
import { capacityAt, curveOf } from './envelope/envelope.ts'
import { candidatesOf, measure, populationOf } from './measure.ts'
import { type ReadingProgress, readLogs } from './read-logs.ts'
import type { IntakeOptions } from './reading/intake.ts'
import type { Source } from './reading/lines.ts'
import type { Report } from './report.ts'
import { bucketsAround, lineCapacities } from './surroundings.ts'
import { Survey } from './survey.ts'
import { tryOut } from './try-out.ts'

export interface TuneOptions extends IntakeOptions {
  /** Rates a second for which the capacity is wanted. */
  readonly at?: readonly number[]
  /** The share of keys that shall never be refused. Default: 0.999. */
  readonly honest?: number
  /** Over which time the most that one key can take shall be least. Default: a minute. */
  readonly worstSeconds?: number
}

/** Throws INVALID_OPTION, and INVALID_DATA where the logs have nothing that could be computed with. */
export async function tune(
  sources: readonly Source[],
  options: TuneOptions = {},
  progress: ReadingProgress = () => {},
): Promise<Report> {
  const logs = await readLogs(sources, options, progress)
  using requests = logs.requests
  const { parts = 1, facts, rule } = logs
  const { at = [], honest = 0.999, worstSeconds = 60 } = options
  const survey = new Survey()
  requests.each(survey)
  const busiest = { ...survey.busiest!, cost: survey.busiest!.cost / parts }
  if (survey.dearest === 0) throw nothingCosts(facts.requests)
  const measured = measure(logs, survey, at)
  const { rates, needs, learntNeeds, splitAt, envelope } = measured
  const all = candidatesOf(rates, needs, honest, parts)
  const held = all.filter((each) => canHold(each, rule.parts))
  const candidates = held.length > 0 ? held : all
  const chosen = leastInWorst(candidates, worstSeconds)!
  const place = rates.findIndex(({ ratePerSecond }) => ratePerSecond === chosen.ratePerSecond)
  const population = populationOf(measured, parts)
  const tried = tryOut(logs, {
    chosen,
    around: bucketsAround(chosen, candidates, population.rates[place]!.capacities, needs.steps * parts),
    lineCapacities: lineCapacities(survey.dearest / parts, needs.enoughFor(place, 1) / parts),
    learnt: leastInWorst(learntFrom(), worstSeconds),
    splitAt,
    busiest: busiest.key,
    honest,
    abusive: logs.abusive ?? measured.largest,
    abusiveBy: logs.abusive === undefined ? 'volume' : 'label',
  })
  const coarse = isCoarse(facts.resolutionSeconds, chosen.ratePerSecond)
  const capacity = (ratePerSecond: number) => capacityAt(envelope, ratePerSecond * parts) / parts
  return {
    ...facts,
    busiest,
    curve: curveOf(envelope, (cost) => cost / parts),
    at: at.map((ratePerSecond) => ({ ratePerSecond, capacity: capacity(ratePerSecond) })),
    coarse: coarse
      ? (at.length > 0 ? at : [chosen.ratePerSecond]).map((ratePerSecond) => {
          const atOnce = capacity(ratePerSecond)
          const off = ratePerSecond * facts.resolutionSeconds
          return {
            ratePerSecond,
            atLeast: Math.max(survey.dearestOfBusiest / parts, atOnce - off),
            evenlySpread: capacityAt(tried.spreadEnvelope, ratePerSecond * parts) / parts,
            atOnce,
            atMost: atOnce + off,
          }
        })
      : null,
    population,
    recommendation: recommend({
      chosen,
      honest,
      worstSeconds,
      knee: kneeOf(candidates) ?? null,
      tally: needs.tallies[place]!,
      perUnit: needs.steps * parts,
      servedKeys: tried.servedKeys,
      evenlySpread: coarse ? tried.spreadCapacity : null,
      facts,
      parts: logs.parts,
    }),
    refused: tried.refused,
    service: tried.service,
    separation: tried.separation,
    forcedBy: tried.forcedBy,
    deferral: tried.deferral,
    holdOut: tried.holdOut,
    doubts: doubtsOf({
      facts,
      busiest,
      ratePerSecond: chosen.ratePerSecond,
      canHold: held.length > 0,
      rounded: rule.rounded,
    }),
    rule: proposeRule({
      fields: logs.fields,
      refill: chosen,
      capacity: chosen.capacity,
      parts: rule.parts,
      cost: options.cost,
    }),
  }

  function learntFrom() {
    return learntNeeds.tallies[0]!.keys === 0 ? [] : candidatesOf(rates, learntNeeds, honest, parts)
  }
}

function nothingCosts(requests: number): SpillwayError {
  const remedy = 'Nothing was computed. Leave --cost away to count requests.'
  return new SpillwayError('INVALID_DATA', `All ${requests} requests cost 0.`, { remedy })
}
