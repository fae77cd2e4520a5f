// spillway queue ls: which queues there are, whose they are, and how full.
import { Command } from 'commander'
import { isSpillwayError } from '../../core/errors.ts'
import type { QueueCount, QueuePort } from '../../ports/queue.ts'
import { contextsOf, queuesOf, type Topology } from '../../topology/topology.ts'
import { eachOf } from '../at-once.ts'
import { withoutDoctors } from '../doctor/names.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { print, printJson, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { count } from '../output/words.ts'

interface Row {
  readonly name: string
  readonly owner: string | null
  /** Null: it stands in the topology, and nobody has made it yet. */
  readonly count: QueueCount | null
}

const examples = `
  $ spillway queue ls                                  the queues of the topology in this folder
  $ spillway queue ls --engine postgres://app@db/app   those of any engine
  $ spillway queue ls --json | jq '.queues[] | select(.dead > 0) | .name'`

export function lsCommand(): Command {
  return onEngine(
    new Command('ls')
      .description(
        'List the queues: how many messages are ready, delayed, waiting for others, leased and dead.',
      )
      .option('-a, --all', 'also what the doctor left behind'),
    examples,
  ).action((options: EngineChoice & { readonly all?: boolean }) =>
    withQueues(options, async ({ engine, port, topology }) => {
      const owners = ownersOf(topology)
      const names = [...new Set([...(await port.names()), ...owners.keys()])].sort()
      const { shown, hidden } = withoutDoctors(names, options.all)
      const rows = await eachOf(shown, async (name) => ({
        name,
        owner: owners.get(name) ?? null,
        count: await countOf(port, name),
      }))
      if (options.json) return printJson({ engine: engine.name, url: engine.url, queues: rows.map(flat) })
      if (rows.length === 0) await print(`No queues on ${engine.name} at ${engine.url}.`)
      else await printTable(columns, rows)
      if (hidden > 0)
        await print(styled('dim', `${count(hidden, 'queue')} of the doctor not shown; --all shows them`))
    }),
  )
}

export function ownersOf(topology: Topology | undefined): Map<string, string> {
  const contexts = topology ? contextsOf(topology) : []
  return new Map(contexts.flatMap((context) => queuesOf(context).map(({ queue }) => [queue, context.name])))
}

async function countOf(port: QueuePort, name: string): Promise<QueueCount | null> {
  try {
    return await port.count(name)
  } catch (thrown) {
    if (isSpillwayError(thrown, 'UNKNOWN_QUEUE')) return null
    throw thrown
  }
}

const columns: readonly Column<Row>[] = [
  { title: 'QUEUE', value: ({ name }) => name, rest: true },
  { title: 'OWNER', value: ({ owner }) => owner ?? '' },
  number('READY', 'ready'),
  number('DELAYED', 'delayed'),
  number('WAITING', 'waiting'),
  number('LEASED', 'leased'),
  number('DEAD', 'dead'),
  {
    title: 'STATE',
    value: ({ count }) => (count === null ? 'not made yet' : count.paused ? 'paused' : ''),
  },
]

function number(title: string, of: 'ready' | 'delayed' | 'waiting' | 'leased' | 'dead'): Column<Row> {
  return { title, right: true, value: (row) => (row.count === null ? '–' : count(row.count[of])) }
}

function flat({ name, owner, count }: Row) {
  const { ready = 0, delayed = 0, waiting = 0, leased = 0, dead = 0, paused = false } = count ?? {}
  return { name, owner, made: count !== null, ready, delayed, waiting, leased, dead, paused }
}
