// spillway outbox: what waits in the outboxes of services, and what was set aside there.
import { Command } from 'commander'
import { asideCommand } from './aside.ts'
import { lsCommand } from './ls.ts'
import { dropCommand, retryCommand } from './settle.ts'

export function outboxCommand(): Command {
  return new Command('outbox')
    .description('Look after outboxes: what waits to be sent, and what was set aside because it cannot be.')
    .addCommand(lsCommand())
    .addCommand(asideCommand())
    .addCommand(retryCommand())
    .addCommand(dropCommand())
    .addHelpText(
      'after',
      `
The services are those of spillway.config.ts in this folder, or one with --database.

  $ spillway outbox ls              what waits, what was set aside?
  $ spillway outbox aside orders    why?
  $ spillway outbox retry orders --all`,
    )
}
