// spillway queue: looking after queues.
import { Command } from 'commander'
import { cancelCommand } from './cancel.ts'
import { deadCommand } from './dead.ts'
import { finishedCommand } from './finished.ts'
import { lsCommand } from './ls.ts'
import { pauseCommand, resumeCommand } from './pause.ts'
import { peekCommand } from './peek.ts'
import { purgeCommand } from './purge.ts'
import { redriveCommand } from './redrive.ts'
import { schedulesCommand } from './schedules.ts'

export function queueCommand(): Command {
  return new Command('queue')
    .description('Look after queues: list, look into, pause, empty, cancel, and put dead letters back.')
    .addCommand(lsCommand())
    .addCommand(peekCommand())
    .addCommand(finishedCommand())
    .addCommand(deadCommand())
    .addCommand(redriveCommand())
    .addCommand(pauseCommand())
    .addCommand(resumeCommand())
    .addCommand(cancelCommand())
    .addCommand(purgeCommand())
    .addCommand(schedulesCommand())
    .addHelpText(
      'after',
      `
The engine is that of spillway.config.ts in this folder, or what --engine names.

  $ spillway queue ls                                what is where?
  $ spillway queue dead billing.receipt --by-reason  what failed, and why?
  $ spillway queue redrive billing.receipt --all     try it all again

What an engine cannot do is refused by name: exit code 1. Wrong usage is exit code 2.`,
    )
}
