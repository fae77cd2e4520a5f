// spillway stream trim: removes the beginning of a stream, after a question that says who has not read it.
import { Command } from 'commander'
import type { PartitionBounds, StreamPort } from '../../ports/stream.ts'
import type { Start } from '../../stream/start.ts'
import { type TrimmedPartition, trimPlan } from '../../stream/trim.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { Bar } from '../output/bar.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'
import { type Distance, distances, inWords } from './distance.ts'
import { type From, from } from './from.ts'

interface Options extends EngineChoice {
  readonly before?: From
  readonly last?: number
  readonly dryRun?: boolean
  readonly yes?: boolean
}

interface Loser {
  readonly group: string
  readonly events: Distance
}

const examples = `
  $ spillway stream trim orders --before 30d          what is older than thirty days; asks first
  $ spillway stream trim orders --before 2026-11-01 --dry-run
  $ spillway stream trim orders --last 1000           all but the last 1,000 of each partition
  $ spillway stream trim orders --before latest --yes everything there is now

The question names the groups that have not read what goes: they go on behind it, and report the gap.`

export function trimCommand(): Command {
  return onEngine(
    new Command('trim')
      .description('Remove the beginning of a stream for good, for every group and reader.')
      .argument('<stream>', 'the name of the stream')
      .option('--before <place>', 'what came before latest, a time, or how long ago: 30d, 2h', (text) =>
        from(text),
      )
      .option('--last <count>', 'all but the last so many of each partition', wholeNumber(0, 10_000))
      .option('--dry-run', 'only say what would go')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((stream: string, options: Options) =>
    withStreams(
      options,
      async ({ engine, port }) => {
        const bounds = await port.bounds(stream)
        const plan = await trimPlan(port, stream, placeOf(options), bounds)
        const events = sum(await goneBy(engine.name, port, stream, plan, bounds))
        const losers = plan.length === 0 ? [] : await losersOf(engine.name, port, stream, plan)
        const told = `${inWords(events)} events of ${stream} on ${engine.name} at ${engine.url}`
        if (!options.dryRun && plan.length > 0) {
          const unread = losers.map(
            ({ group, events: lost }) => `${visible(group)} has not read ${inWords(lost)} of them`,
          )
          await confirm([`Remove ${told}, for good?`, ...unread].join(' '), options.yes)
          await trimmed(port, stream, plan)
        }
        if (options.json) return printJson(asJson(stream, options, plan, events, losers))
        await print(options.dryRun ? `${told} would go.` : `${inWords(events)} events of ${stream} removed.`)
        for (const { group, events: lost } of losers)
          await print(
            `${visible(group)} ${options.dryRun ? 'has' : 'had'} not read ${inWords(lost)} of them.`,
          )
      },
      () => {
        if ((options.before === undefined) === (options.last === undefined))
          throw new UsageError(
            'What is to go? Say --before with a place, or --last with how many are to stay.',
          )
        if (!options.dryRun) requireConsent(options.yes)
      },
    ),
  )
}

function placeOf({ before, last }: Options): Start {
  return before ?? { last: last! }
}

/** Partition by partition: each is one call that says nothing until it is over. */
async function trimmed(port: StreamPort, stream: string, plan: readonly TrimmedPartition[]): Promise<void> {
  const bar = new Bar('trimming', plan.length)
  try {
    for (const [done, { partition, position }] of plan.entries()) {
      await port.trim(stream, [{ partition, position }])
      bar.at(done + 1, `partition ${partition}`)
    }
  } finally {
    bar.end()
  }
}

/** What goes of each partition of the plan. */
function goneBy(
  engine: string,
  port: StreamPort,
  stream: string,
  plan: readonly TrimmedPartition[],
  bounds: readonly PartitionBounds[],
): Promise<Distance[]> {
  const places = new Map(bounds.map((each) => [each.partition, each]))
  const ranges = plan.map(({ partition, position }) => ({ ...places.get(partition)!, next: position }))
  return distances(engine, port, stream, [], ranges)
}

/** The groups that wanted some of it still, and how much. */
async function losersOf(
  engine: string,
  port: StreamPort,
  stream: string,
  plan: readonly TrimmedPartition[],
): Promise<Loser[]> {
  const losers: Loser[] = []
  for (const group of await port.groups(stream)) {
    const committed = (await port.committed(stream, group)).flatMap(({ partition, position }) =>
      position === null ? [] : [{ partition, position }],
    )
    if (committed.length === 0) continue
    const ranges = plan.map(({ partition, position, gone }) => {
      return { partition, earliest: position - gone, next: position }
    })
    const events = sum(await distances(engine, port, stream, committed, ranges))
    if (events.events > 0) losers.push({ group, events })
  }
  return losers
}

function sum(distances: readonly Distance[]): Distance {
  return {
    events: distances.reduce((total, { events }) => total + events, 0),
    exact: distances.every(({ exact }) => exact),
  }
}

function asJson(
  stream: string,
  { dryRun }: Options,
  plan: readonly TrimmedPartition[],
  { events, exact }: Distance,
  losers: readonly Loser[],
) {
  return {
    stream,
    trimmed: !dryRun && plan.length > 0,
    events,
    exact,
    partitions: plan.map(({ partition, position }) => ({ partition, earliest: position })),
    unread: losers.map(({ group, events: lost }) => ({ group, events: lost.events, exact: lost.exact })),
  }
}
