// spillway saga: how many instances there are of each saga, and what stands in them.
import { Command } from 'commander'
import type { SagaPort } from '../../ports/saga.ts'
import { type SagaInstance, SagaInstances } from '../../saga/instances.ts'
import type { AnySaga } from '../../saga/saga.ts'
import { servicesOf } from '../../topology/topology.ts'
import { loadTopology } from '../config-file.ts'
import { openExisting } from '../existing-database.ts'
import { forgiveReaders, print, printJson, printTable } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { visible } from '../output/text.ts'
import { ago, at, count } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'

interface Choice {
  readonly config?: string
  readonly json?: boolean
}

interface Shown extends Choice {
  readonly limit: number
  readonly after?: string
}

interface Summary {
  readonly saga: string
  readonly context: string
  readonly running: number
  readonly ended: number
  /** Of those that run: since when nothing has happened to the one that has waited for the longest. */
  readonly oldest: { readonly id: string; readonly changedAt: Date } | undefined
}

const page = 1_000

const listing = `
Examples:
  $ spillway saga ls                   how many run, and which has waited for the longest?
  $ spillway saga ls --json | jq '.sagas[] | select(.running > 1000)'`

const showing = `
Examples:
  $ spillway saga show order           the instances of a saga
  $ spillway saga show order A-17      one of them: its state, its timeouts, what would be undone`

export function sagaCommand(): Command {
  return new Command('saga')
    .description('Look into sagas: how many instances run, and what stands in them.')
    .addCommand(lsCommand())
    .addCommand(showCommand())
    .addHelpText(
      'after',
      `
They stand in the databases of the services that the topology names, which are opened for it.

  $ spillway saga ls               how many run, and which has waited for the longest?
  $ spillway saga show order       the instances of a saga
  $ spillway saga show order A-17  one of them: its state, its timeouts, what would be undone`,
    )
}

function chosen(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts)')
    .option('--json', 'print JSON for programs')
}

function lsCommand(): Command {
  return chosen(
    new Command('ls')
      .description('List the sagas: how many instances run, and how many have ended.')
      .addHelpText('after', listing),
  ).action((options: Choice) => {
    forgiveReaders()
    return reporting(async () => {
      const sagas: Summary[] = []
      await eachSaga(options, async (saga, context, port) => {
        sagas.push(await summary(saga, context, port))
      })
      if (options.json) return printJson({ sagas })
      if (sagas.length === 0) return print('No service of this topology has a saga.')
      await printTable(columns, sagas)
    })
  })
}

function showCommand(): Command {
  return chosen(
    new Command('show')
      .description('Show the instances of a saga by their ids, or one of them.')
      .addHelpText('after', showing)
      .argument('<saga>', 'its name')
      .argument('[id]', 'of one instance')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, page), 20)
      .option('--after <id>', 'go on behind this one'),
  ).action((name: string, id: string | undefined, options: Shown) => {
    forgiveReaders()
    return reporting(async () => {
      let found = false
      await eachSaga(options, async (saga, context, port) => {
        if (saga.name !== name) return
        found = true
        const all = new SagaInstances<unknown>(saga, port)
        const { limit, after } = options
        const one = id === undefined ? undefined : await all.get(id)
        if (id !== undefined && !one)
          throw new UsageError(`The saga ${name} has no instance ${JSON.stringify(id)}.`)
        const instances = one ? [one] : await all.list({ limit, ...(after === undefined ? {} : { after }) })
        if (options.json) return printJson({ saga: name, context, instances: instances.map(asJson) })
        for (const instance of instances) await print(...block(instance))
        if (instances.length === 0) await print(`The saga ${name} has no instances.`)
        if (!one && instances.length === limit)
          await print(`there may be more: --after ${visible(instances.at(-1)!.id)}`)
      })
      if (!found)
        throw new UsageError(`No service of this topology has a saga ${name}; spillway saga ls lists them.`)
    })
  })
}

/** Of a service that never ran with its database. */
const none: Pick<SagaPort, 'get' | 'list'> = { get: async () => undefined, list: async () => [] }

async function eachSaga(
  { config }: Choice,
  look: (saga: AnySaga, context: string, port: Pick<SagaPort, 'get' | 'list'>) => Promise<void>,
): Promise<void> {
  for (const { context, database, sagas } of servicesOf(await loadTopology(config))) {
    if (!database || sagas.length === 0) continue
    const opened = await openExisting(database, context.name)
    try {
      for (const saga of sagas) await look(saga, context.name, opened?.sagas ?? none)
    } finally {
      await opened?.close()
    }
  }
}

/** Goes over all instances; their states are not read. */
async function summary({ name }: AnySaga, context: string, port: Pick<SagaPort, 'list'>): Promise<Summary> {
  let running = 0
  let ended = 0
  let oldest: Summary['oldest']
  for (let after = ''; ; ) {
    const instances = await port.list(name, { limit: page, after })
    for (const { id, body, changedAt } of instances) {
      if (body === null) ended += 1
      else running += 1
      if (body !== null && !(oldest && oldest.changedAt.getTime() <= changedAt))
        oldest = { id, changedAt: new Date(changedAt) }
    }
    const last = instances.at(-1)
    if (!last || instances.length < page) return { saga: name, context, running, ended, oldest }
    after = last.id
  }
}

const columns: readonly Column<Summary>[] = [
  { title: 'SAGA', value: ({ saga }) => saga },
  { title: 'CONTEXT', value: ({ context }) => context },
  { title: 'RUNNING', right: true, value: ({ running }) => count(running) },
  { title: 'ENDED', right: true, value: ({ ended }) => count(ended) },
  {
    title: 'WAITS LONGEST',
    rest: true,
    value: ({ oldest }) => (oldest ? `${oldest.id}, ${ago(oldest.changedAt.getTime())}` : ''),
  },
]

function asJson({ unreadable, ...instance }: SagaInstance<unknown>) {
  return unreadable
    ? { ...instance, unreadable: { code: unreadable.code, message: unreadable.message } }
    : instance
}

function block({
  id,
  state,
  unreadable,
  ended,
  steps,
  changedAt,
  timeouts,
  compensations,
}: SagaInstance<unknown>): string[] {
  const when = `${count(steps, 'step')}, the last ${at(changedAt.getTime())} UTC (${ago(changedAt.getTime())})`
  return [
    visible(id),
    `  ${ended ? 'ended after ' : ''}${when}`,
    ...(unreadable ? [`  its state cannot be read: ${visible(unreadable.message)}`] : []),
    ...(ended || unreadable ? [] : [`  state     ${JSON.stringify(state)}`]),
    ...(timeouts.length > 0 ? [`  timeouts  ${timeouts.join(', ')}`] : []),
    ...(compensations.length > 0 ? [`  to undo   ${compensations.toReversed().join(', ')}`] : []),
    '',
  ]
}
