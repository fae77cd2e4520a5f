// spillway calls: looking after what a running process thinks of the contexts that it calls.
import { Command } from 'commander'
import { forceCommand } from './force.ts'
import { lsCommand } from './ls.ts'

export function callsCommand(): Command {
  return new Command('calls')
    .description(
      'Look after the calls of a running process: list the contexts that it calls, force a breaker.',
    )
    .addCommand(lsCommand())
    .addCommand(forceCommand())
    .addHelpText(
      'after',
      `
It asks the process itself, from the same machine, at the address that it listens to: spillway up prints it.

  $ spillway calls ls                                        how are those that it calls?
  $ spillway calls force inventory open                      call inventory no more, until told otherwise
  $ spillway calls force inventory auto --at http://127.0.0.1:7001`,
    )
}
