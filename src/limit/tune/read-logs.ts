// Logs, read to their end: the requests by key, and what was found on the way.
import { Gathering } from './gathering/gathering.ts'
import type { Requests } from './gathering/requests.ts'
import { scaled } from './gathering/scaled.ts'
import type { LogFacts } from './log-facts.ts'
import { Intake, type IntakeOptions } from './reading/intake.ts'
import { eachLine, type Source } from './reading/lines.ts'

export interface ReadLogs {
  readonly requests: Requests
  /** Costs of `requests` are in so many parts of a unit of the log, and whole; undefined where they are real numbers, in units. */
  readonly parts: number | undefined
  /** In how many parts of a unit a rule has to count, and whether costs are rounded up to them. */
  readonly rule: { readonly parts: number; readonly rounded: boolean }
  readonly fields: readonly string[]
  readonly facts: LogFacts
  /** Keys that are labelled abusive; undefined where nobody asked for labels. */
  readonly abusive: ReadonlySet<string> | undefined
  /** In microseconds since 1970. */
  readonly from: number
  readonly to: number
}

/** Bytes of this log, and requests of all. */
export type ReadingProgress = (source: Source, bytes: number, requests: number) => void

export async function readLogs(
  sources: readonly Source[],
  options: IntakeOptions,
  progress: ReadingProgress,
): Promise<ReadLogs> {
  using gathering = new Gathering()
  const intake = new Intake(gathering, options)
  for (const source of sources) {
    intake.begin(source.name)
    await eachLine(
      source,
      (line) => intake.take(line),
      (bytes) => progress(source, bytes, intake.requests),
    )
  }
  const { fields, written } = intake.end()
  const gathered = gathering.finish()
  const { parts, rule, total } = intake.decimals
  const { from, to } = intake
  const facts: LogFacts = {
    logs: sources.map(({ name }) => name),
    key: written,
    requests: intake.requests,
    keys: gathered.keys,
    totalCost: total,
    brokenLines: intake.brokenLines,
    broken: intake.broken,
    withoutKey: intake.withoutKey,
    leftOut: intake.leftOut,
    without: options.without ?? [],
    retries: { sameId: intake.retries.sameId, afterRefusal: intake.retries.afterRefusal },
    refusedThen: intake.refused,
    outOfOrder: intake.outOfOrder,
    from: new Date(from / 1_000).toISOString(),
    to: new Date(to / 1_000).toISOString(),
    spanSeconds: (to - from) / 1e6,
    resolutionSeconds: intake.resolution.micros / 1e6,
  }
  const abusive = options.label === undefined ? undefined : intake.abusive
  return { requests: scaled(gathered, parts ?? 1), parts, rule, fields, facts, abusive, from, to }
}
