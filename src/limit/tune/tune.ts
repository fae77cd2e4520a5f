// Recorded traffic in, what a token bucket for it needs out. Decision 23 says what it promises and how it is done.
import { capacityAt, curveOf } from './envelope/envelope.ts'
import { EnvelopeOfKey } from './envelope/of-key.ts'
import { type ReadingProgress, readLogs } from './read-logs.ts'
import type { IntakeOptions } from './reading/intake.ts'
import type { Source } from './reading/lines.ts'
import type { Report } from './report.ts'
import { Survey } from './survey.ts'

export interface TuneOptions extends IntakeOptions {
  /** Rates a second for which the capacity is wanted. */
  readonly at?: readonly number[]
}

/** Throws INVALID_OPTION, and INVALID_DATA where the logs have nothing that could be computed with. */
export async function tune(
  sources: readonly Source[],
  options: TuneOptions = {},
  progress: ReadingProgress = () => {},
): Promise<Report> {
  const { requests: all, parts = 1, facts } = await readLogs(sources, options, progress)
  using requests = all
  const survey = new Survey()
  requests.each(survey)
  const busiest = survey.busiest!
  const ofBusiest = new EnvelopeOfKey(busiest.key)
  requests.each(ofBusiest)
  const envelope = ofBusiest.finish()
  const unit = (cost: number) => cost / parts
  return {
    ...facts,
    busiest: { ...busiest, cost: unit(busiest.cost) },
    curve: curveOf(envelope, unit),
    at: (options.at ?? []).map((ratePerSecond) => ({
      ratePerSecond,
      capacity: unit(capacityAt(envelope, ratePerSecond * parts)),
    })),
  }
}
