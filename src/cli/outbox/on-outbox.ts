// What the commands of outboxes have in common: whose outboxes, and that their databases are closed again.
import type { Command } from 'commander'
import { databaseAt } from '../../engine-of.ts'
import type { Database, DatabaseSource, OutboxPort } from '../../ports/database.ts'
import { servicesOf } from '../../topology/topology.ts'
import { loadTopology } from '../config-file.ts'
import { openExisting } from '../existing-database.ts'
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
  /** Where it is. */
  readonly place: string
  readonly outbox: Pick<OutboxPort, 'pending' | 'count' | 'aside' | 'retry' | 'drop'>
}

/** Of a service that never ran with its database. */
const empty: OpenedOutbox['outbox'] = {
  pending: async () => [],
  count: async () => ({ waiting: 0, setAside: 0 }),
  aside: async () => [],
  retry: async () => 0,
  drop: async () => 0,
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
    const opened: Database<unknown>[] = []
    const outboxes: OpenedOutbox[] = []
    try {
      for (const { name, source } of await chosen(service, options)) {
        const database = await openExisting(source, name)
        if (database) opened.push(database)
        const { name: place, outbox } = database ?? {
          name: 'a database that it has not used yet',
          outbox: empty,
        }
        outboxes.push({ service: name, place, outbox })
      }
      await work(outboxes)
    } finally {
      for (const database of opened) await database.close()
    }
  })
}

interface Chosen {
  readonly name: string
  readonly source: DatabaseSource<unknown>
}

async function chosen(
  service: string | undefined,
  { database, config }: OutboxChoice,
): Promise<readonly Chosen[]> {
  if (database !== undefined) {
    if (service === undefined) throw new UsageError('Whose outbox? Name the service beside --database.')
    const source: DatabaseSource<unknown> = await databaseAt(database)
    const found = await source.find?.(service)
    if (found?.isThere === false)
      throw new UsageError(
        `There is no service ${service} in that database; nothing was made. It has ${found.services.join(', ') || 'none'}.`,
      )
    return [{ name: service, source }]
  }
  const all = servicesOf(await loadTopology(config)).flatMap(({ context: { name }, database: source }) =>
    source ? [{ name, source }] : [],
  )
  const found = all.filter(({ name }) => service === undefined || name === service)
  if (service !== undefined && found.length === 0)
    throw new UsageError(
      `No service ${service} with a database in this topology; it has ${all.map(({ name }) => name).join(', ') || 'none'}.`,
    )
  return found
}
