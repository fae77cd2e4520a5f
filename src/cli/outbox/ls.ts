// spillway outbox ls: how much waits in each outbox, for whom, and how much was set aside.
import { Command } from 'commander'
import { print, printJson, printTable } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { count } from '../output/words.ts'
import { type OutboxChoice, onOutbox, withOutboxes } from './on-outbox.ts'

interface Row {
  readonly service: string
  readonly database: string
  readonly waiting: number
  readonly setAside: number
  /** Those that have rows to send. */
  readonly destinations: readonly string[]
}

export function lsCommand(): Command {
  return onOutbox(
    new Command('ls')
      .description(
        'List outboxes: how many messages wait, for which queues and streams, and how many were set aside.',
      )
      .argument('[service]', 'only that of this service'),
    `
  $ spillway outbox ls                                    those of all services of the topology
  $ spillway outbox ls orders --database ./data/orders.db  one, in its file
  $ spillway outbox ls --json | jq '.outboxes[] | select(.setAside > 0) | .service'`,
  ).action((service: string | undefined, options: OutboxChoice) =>
    withOutboxes(service, options, async (opened) => {
      const rows: Row[] = []
      for (const { service: name, place, outbox } of opened) {
        const pending = await outbox.pending()
        const destinations = pending.map((to) => `${to.kind} ${to.name}`).sort()
        rows.push({
          service: name,
          database: place,
          ...(await outbox.count()),
          destinations,
        })
      }
      if (options.json) return printJson({ outboxes: rows })
      if (rows.length === 0) return print('No service of this topology has a database.')
      await printTable(columns, rows)
    }),
  )
}

const columns: readonly Column<Row>[] = [
  { title: 'SERVICE', value: ({ service }) => service },
  { title: 'WAITING', right: true, value: ({ waiting }) => count(waiting) },
  { title: 'SET ASIDE', right: true, value: ({ setAside }) => count(setAside) },
  { title: 'FOR', value: ({ destinations }) => destinations.join(', '), rest: true },
]
