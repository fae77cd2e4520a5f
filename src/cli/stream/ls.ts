// spillway stream ls: which streams there are, whose they are, and who reads them.
import { Command } from 'commander'
import { isSpillwayError } from '../../core/errors.ts'
import type { StreamPort } from '../../ports/stream.ts'
import { deadStream } from '../../stream/dead-events.ts'
import { contextsOf, eventsOf, type Topology } from '../../topology/topology.ts'
import { eachOf } from '../at-once.ts'
import { withoutDoctors } from '../doctor/names.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { print, printJson, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { count } from '../output/words.ts'
import { tellsEvents } from './distance.ts'

interface Row {
  readonly name: string
  readonly owner: string | null
  /** Null: it stands in the topology, and nobody has made it yet. */
  readonly facts: {
    readonly partitions: number
    readonly positions: number
    readonly groups: readonly string[]
  } | null
}

const examples = `
  $ spillway stream ls                                 the streams of the topology in this folder
  $ spillway stream ls --engine kafka://broker:9092    only Spillway's: topics of others are not shown
  $ spillway stream ls --json | jq -r '.streams[] | "\\(.name) \\(.groups)"'`

export function lsCommand(): Command {
  return onEngine(
    new Command('ls')
      .description('List the streams: partitions, events that are kept, consumer groups.')
      .option('-a, --all', 'also what the doctor left behind'),
    examples,
  ).action((options: EngineChoice & { readonly all?: boolean }) =>
    withStreams(options, async ({ engine, port, topology }) => {
      const known = await port.names()
      const owners = ownersOf(topology)
      const { shown, hidden } = withoutDoctors([...new Set([...known, ...owners.keys()])].sort(), options.all)
      const rows = await eachOf(shown, async (name) => ({
        name,
        owner: owners.get(name) ?? deadOf(name, shown) ?? null,
        facts: await factsOf(port, name),
      }))
      if (options.json) return printJson({ engine: engine.name, url: engine.url, streams: rows.map(flat) })
      if (rows.length === 0) await print(`No streams on ${engine.name} at ${engine.url}.`)
      else await printTable(columns(engine.name), rows)
      if (hidden > 0)
        await print(styled('dim', `${count(hidden, 'stream')} of the doctor not shown; --all shows them`))
    }),
  )
}

/** A context that publishes events owns the stream of its name. */
function ownersOf(topology: Topology | undefined): Map<string, string> {
  const contexts = topology ? contextsOf(topology) : []
  return new Map(contexts.filter((context) => eventsOf(context).length > 0).map(({ name }) => [name, name]))
}

/** `dead letters of billing`, for the stream that a group keeps them in. */
function deadOf(name: string, all: readonly string[]): string | undefined {
  const stream = all.find((each) => name.startsWith(deadStream({ stream: each, group: '' })))
  return stream === undefined
    ? undefined
    : `dead letters of ${name.slice(deadStream({ stream, group: '' }).length)}`
}

async function factsOf(port: StreamPort, name: string): Promise<Row['facts']> {
  try {
    const [bounds, groups] = await Promise.all([port.bounds(name), port.groups(name)])
    const positions = bounds.reduce((sum, { earliest, next }) => sum + next - earliest, 0)
    return { partitions: bounds.length, positions, groups }
  } catch (thrown) {
    if (isSpillwayError(thrown, 'UNKNOWN_STREAM')) return null
    throw thrown
  }
}

function columns(engine: string): readonly Column<Row>[] {
  return [
    { title: 'STREAM', value: ({ name }) => name },
    { title: 'OWNER', value: ({ owner }) => owner ?? '' },
    { title: 'PARTITIONS', right: true, value: ({ facts }) => (facts ? String(facts.partitions) : '–') },
    {
      title: 'EVENTS',
      right: true,
      value: ({ facts }) => (!tellsEvents(engine) ? '' : facts ? count(facts.positions) : '–'),
    },
    { title: 'GROUPS', rest: true, value: ({ facts }) => (facts ? facts.groups.join(', ') : 'not made yet') },
  ]
}

function flat({ name, owner, facts }: Row) {
  const { partitions = 0, positions = 0, groups = [] } = facts ?? {}
  return { name, owner, made: facts !== null, partitions, positions, groups }
}
