// What the commands of outboxes have in common: whose outboxes, and that their databases are closed again.
import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { openDatabase } from '../../engine-of.ts'
import type { Database } from '../../ports/database.ts'
import { servicesOf } from '../../topology/topology.ts'
import { loadTopology } from '../config-file.ts'
import { forgiveReaders } from '../output/print.ts'
import { reporting } from '../reporting.ts'
import { UsageError } from '../usage.ts'

export interface OutboxChoice {
  readonly database?: string
  readonly config?: string
  readonly json?: boolean
}

export interface OpenedOutbox {
  readonly service: string
  readonly database: Database<unknown>
}

export function onOutbox(command: Command, examples: string): Command {
  return command
    .option('--database <where>', "the service's database: postgres://… or an SQLite file")
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts)')
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExamples:\n${examples.replace(/^\n|\n$/g, '')}`)
}

/** The outbox of one service, or, where none is named, those of all services of the topology that have a database. */
export function withOutboxes(
  service: string | undefined,
  options: OutboxChoice,
  work: (outboxes: readonly OpenedOutbox[]) => Promise<void>,
  check: () => void = () => {},
): Promise<void> {
  forgiveReaders()
  return reporting(async () => {
    check()
    const opened: OpenedOutbox[] = []
    try {
      for (const { name, open } of await chosen(service, options))
        opened.push({ service: name, database: await open() })
      await work(opened)
    } finally {
      for (const { database } of opened) await database.close()
    }
  })
}

async function chosen(service: string | undefined, { database, config }: OutboxChoice) {
  if (database !== undefined) {
    if (service === undefined) throw new UsageError('Whose outbox? Name the service beside --database.')
    if (
      !/^postgres(ql)?:/.test(database) &&
      !statSync(database.replace(/^sqlite:/, ''), { throwIfNoEntry: false })
    )
      throw new UsageError(`There is no database in ${database}; nothing was made.`)
    return [{ name: service, open: () => openDatabase(database, service) }]
  }
  const all = servicesOf(await loadTopology(config)).flatMap(({ context: { name }, database: source }) =>
    source ? [{ name, open: () => source.open(name) }] : [],
  )
  const found = all.filter(({ name }) => service === undefined || name === service)
  if (service !== undefined && found.length === 0)
    throw new UsageError(
      `No service ${service} with a database in this topology; it has ${all.map(({ name }) => name).join(', ') || 'none'}.`,
    )
  return found
}
