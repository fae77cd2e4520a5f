// spillway calls: looking after what a running process thinks of the contexts that it calls.
import { Command } from 'commander'
import { forceCommand } from './force.ts'
import { lsCommand } from './ls.ts'

export function callsCommand(): Command {
  return new Command('calls')
    .description(
      'Look after the calls of running processes: list the contexts that they call, force a breaker.',
    )
    .addCommand(lsCommand())
    .addCommand(forceCommand())
    .addHelpText(
      'after',
      `
It asks the processes themselves, on the machine and by the user that runs spillway up: each has a socket of its own for it.

  $ spillway calls ls                                        how are those that it calls?
  $ spillway calls force inventory open                      call inventory no more, until told otherwise
  $ spillway calls force inventory auto --at 4711`,
    )
}
