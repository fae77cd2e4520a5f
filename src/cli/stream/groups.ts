// spillway stream groups: how far the consumer groups of a stream are.
import { Command } from 'commander'
import type { PartitionBounds, StreamPort } from '../../ports/stream.ts'
import { eachOf } from '../at-once.ts'
import { withoutDoctors } from '../doctor/names.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { print, printJson, printTable } from '../output/print.ts'
import { type Distance, distances, inWords } from './distance.ts'

interface Place {
  readonly group: string
  readonly partition: number
  readonly committed: number | null
  readonly next: number
  readonly lag: Distance
}

interface Group {
  readonly name: string
  readonly lag: Distance
  readonly partitions: readonly Place[]
}

interface Options extends EngineChoice {
  readonly group?: readonly string[]
}

const examples = `
  $ spillway stream groups                            every group of every stream, and how far it is behind
  $ spillway stream groups orders                     every group, partition by partition
  $ spillway stream groups orders --group billing     one of them
  $ spillway stream groups orders --json | jq '.groups[] | {name, lag}'

The lag is what lies between the committed position and the end. A service that keeps its progress in its own
database commits here now and then only: its true lag is smaller.`

export function groupsCommand(): Command {
  return onEngine(
    new Command('groups')
      .description('Show how far each consumer group of a stream is: committed position, end, lag.')
      .argument('[stream]', 'the name of the stream (default: all)')
      .option('--group <names...>', 'only these groups'),
    examples,
  ).action((stream: string | undefined, options: Options) =>
    withStreams(options, async ({ engine, port }) => {
      if (stream === undefined) return everywhere(engine.name, port, options)
      const names = options.group ?? (await port.groups(stream))
      const groups = await groupsOf(engine.name, port, stream, names)
      if (options.json) return printJson({ stream, groups: groups.map(asJson) })
      if (groups.length === 0) return print(`No group reads ${stream}.`)
      await printTable(
        [
          { title: 'GROUP', value: ({ group }) => group },
          { title: 'PARTITION', right: true, value: ({ partition }) => String(partition) },
          { title: 'COMMITTED', right: true, value: ({ committed }) => String(committed ?? '–') },
          { title: 'END', right: true, value: ({ next }) => String(next) },
          { title: 'LAG', right: true, value: ({ lag }) => inWords(lag) },
        ],
        groups.flatMap(({ partitions }) => partitions),
      )
      for (const { name, lag } of groups) await print(`${name}: ${inWords(lag)} behind`)
    }),
  )
}

/** The groups of all streams, those that are furthest behind first. */
async function everywhere(engine: string, port: StreamPort, options: Options): Promise<void> {
  const { shown } = withoutDoctors((await port.names()).toSorted(), false)
  const found = (
    await eachOf(shown, async (stream) =>
      (
        await groupsOf(engine, port, stream, await chosen(port, stream, options))
      ).map((group) => ({ stream, ...group })),
    )
  ).flat()
  if (options.json)
    return printJson({ groups: found.map((group) => ({ stream: group.stream, ...asJson(group) })) })
  if (found.length === 0) return print('No group reads any stream.')
  await printTable(
    [
      { title: 'STREAM', value: ({ stream }) => stream },
      { title: 'GROUP', value: ({ name }) => name },
      { title: 'LAG', right: true, value: ({ lag }) => inWords(lag) },
    ],
    found.toSorted((a, b) => b.lag.events - a.lag.events),
  )
}

async function chosen(port: StreamPort, stream: string, { group }: Options): Promise<readonly string[]> {
  const there = await port.groups(stream)
  return there.filter((name) => group?.includes(name) ?? true)
}

async function groupsOf(
  engine: string,
  port: StreamPort,
  stream: string,
  names: readonly string[],
): Promise<Group[]> {
  const bounds = await port.bounds(stream)
  return eachOf(names, async (name) => {
    const partitions = await placesOf(engine, port, stream, name, bounds)
    const events = partitions.reduce((sum, { lag }) => sum + lag.events, 0)
    return { name, lag: { events, exact: partitions.every(({ lag }) => lag.exact) }, partitions }
  })
}

async function placesOf(
  engine: string,
  port: StreamPort,
  stream: string,
  group: string,
  bounds: readonly PartitionBounds[],
): Promise<Place[]> {
  const positions = new Map(
    (await port.committed(stream, group)).map(({ partition, position }) => [partition, position]),
  )
  const from = bounds.map(({ partition }) => ({ partition, position: positions.get(partition) ?? 0 }))
  const lags = await distances(engine, port, stream, from, bounds)
  return bounds.map(({ partition, next }, index) => ({
    group,
    partition,
    committed: positions.get(partition) ?? null,
    next,
    lag: lags[index]!,
  }))
}

function asJson({ name, lag, partitions }: Group) {
  return {
    name,
    lag: lag.events,
    exact: lag.exact,
    partitions: partitions.map(({ partition, committed, next, lag }) => ({
      partition,
      committed,
      next,
      lag: lag.events,
    })),
  }
}
