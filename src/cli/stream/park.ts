// spillway stream park: what a group has parked, from the database of its service.
import { Command } from 'commander'
import type { StreamPort } from '../../ports/stream.ts'
import { type ParkedLetter, StreamGroup } from '../../stream/stream-group.ts'
import { servicesOf, type Topology } from '../../topology/topology.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { print, printJson, printTable } from '../output/print.ts'
import { at, count, dataOf, parsed } from '../output/words.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'

interface Options extends EngineChoice {
  readonly key?: string
  readonly limit?: number
}

const examples = `
  $ spillway stream park                                how much is parked anywhere
  $ spillway stream park orders billing                 what is parked, and why
  $ spillway stream park orders billing --key ada       of one key: the one that failed, and those behind it
  $ spillway stream park orders billing --json | jq '.parked[].key'

It stands in the database of the group's service, so the topology has to name that service. spillway stream unpark lets go of it.`

export function parkCommand(): Command {
  return onEngine(
    new Command('park')
      .description(
        'Show what a group has parked: the event that failed of each key, and those that wait behind it.',
      )
      .argument('[stream]', 'the name of the stream (default: all)')
      .argument('[group]', 'the name of the group: its context (default: all)')
      .option('-k, --key <key>', 'only of this key')
      .option('-n, --limit <count>', 'at most so many (default: 100)', wholeNumber(1, 100_000)),
    examples,
  ).action((stream: string | undefined, group: string | undefined, options: Options) =>
    withStreams(options, async ({ port, topology }) => {
      if (stream === undefined || group === undefined) {
        const parked = await overview(port, required(topology), stream)
        if (options.json) return printJson({ parked })
        return printOverview(parked, stream)
      }
      const database = await databaseOf(topology, group).open(group)
      try {
        const { key, limit = 100 } = options
        const looked = new StreamGroup(port, stream, group, undefined, database.parking)
        const parked = await looked.parked({ limit, ...(key === undefined ? {} : { key }) })
        if (options.json) return await printJson({ stream, group, parked: parked.map(asJson) })
        if (parked.length === 0) return await print(`${group} has parked nothing of ${stream}.`)
        await printTable(
          [
            { title: 'KEY', value: (each) => each.key ?? '–' },
            { title: 'PLACE', value: ({ partition, position }) => `${partition}/${position}` },
            { title: 'APPENDED', value: ({ appendedAt }) => at(appendedAt) },
            { title: 'TRIES', right: true, value: ({ attempts }) => String(attempts) },
            { title: 'REASON', value: ({ reason }) => reason },
            { title: 'DATA', rest: true, value: ({ body }) => dataOf(body) },
          ],
          parked,
        )
        if (parked.length === limit) await print(`The first ${count(limit)}; --limit shows more.`)
      } finally {
        await database.close()
      }
    }),
  )
}

interface Parked {
  readonly stream: string
  readonly group: string
  readonly parked: number
  readonly keys: readonly string[]
}

/** Of every service that has a database and listens to the stream: those that have parked something of it. */
async function overview(port: StreamPort, topology: Topology, only: string | undefined): Promise<Parked[]> {
  const made = new Set(await port.names())
  if (only !== undefined && !made.has(only)) await port.bounds(only)
  const found: Parked[] = []
  for (const { context, database, reactions } of servicesOf(topology)) {
    const streams = [...new Set(reactions.map(({ event }) => event.stream))]
    const asked = streams.filter((stream) => made.has(stream) && (only ?? stream) === stream)
    if (!database || asked.length === 0) continue
    const opened = await database.open(context.name)
    try {
      for (const stream of asked) {
        const group = context.name
        const parts = await Promise.all(
          (await port.bounds(stream)).map(({ partition }) =>
            opened.parking.summary({ stream, group, partition }),
          ),
        )
        const parked = parts.reduce((sum, { count }) => sum + count, 0)
        if (parked > 0) found.push({ stream, group, parked, keys: parts.flatMap(({ keys }) => keys) })
      }
    } finally {
      await opened.close()
    }
  }
  return found
}

function printOverview(parked: readonly Parked[], stream: string | undefined): Promise<void> {
  if (parked.length === 0) return print(`Nothing is parked${stream === undefined ? '' : ` of ${stream}`}.`)
  return printTable(
    [
      { title: 'STREAM', value: (each) => each.stream },
      { title: 'GROUP', value: ({ group }) => group },
      { title: 'PARKED', right: true, value: (each) => count(each.parked) },
      { title: 'KEYS', rest: true, value: ({ keys }) => keys.join(', ') },
    ],
    parked,
  )
}

function required(topology: Topology | undefined): Topology {
  if (topology) return topology
  throw new UsageError(
    'What is parked stands in the database of a service: say with --config which topology names it.',
  )
}

function databaseOf(topology: Topology | undefined, group: string) {
  const found = servicesOf(required(topology)).find(({ context }) => context.name === group)
  if (found?.database) return found.database
  throw new UsageError(
    found
      ? `The service of ${group} has no database: it parks nothing.`
      : `The topology has no service of ${group}; it has ${servicesOf(required(topology))
          .map(({ context }) => context.name)
          .join(', ')}.`,
  )
}

function asJson({ partition, position, key, appendedAt, attempts, reason, body }: ParkedLetter) {
  return {
    partition,
    position,
    key: key ?? null,
    appendedAt: new Date(appendedAt).toISOString(),
    attempts,
    reason,
    message: parsed(body),
  }
}
