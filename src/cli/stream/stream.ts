// spillway stream: looking after streams.
import { Command } from 'commander'
import { deadCommand } from './dead.ts'
import { groupsCommand } from './groups.ts'
import { lsCommand } from './ls.ts'
import { parkCommand } from './park.ts'
import { redriveCommand } from './redrive.ts'
import { replayCommand } from './replay.ts'
import { tailCommand } from './tail.ts'
import { trimCommand } from './trim.ts'
import { unparkCommand } from './unpark.ts'

export function streamCommand(): Command {
  return new Command('stream')
    .description(
      'Look after streams: list them, read their events, see how far their groups are, tell a group what to do, trim.',
    )
    .addCommand(lsCommand())
    .addCommand(tailCommand())
    .addCommand(groupsCommand())
    .addCommand(deadCommand())
    .addCommand(redriveCommand())
    .addCommand(replayCommand())
    .addCommand(parkCommand())
    .addCommand(unparkCommand())
    .addCommand(trimCommand())
    .addHelpText(
      'after',
      `
The engine is that of spillway.config.ts in this folder (its streams, where they are apart), or what --engine names.

  $ spillway stream ls                        what is where?
  $ spillway stream tail orders --follow      what is happening?
  $ spillway stream groups                    who is behind?
  $ spillway stream dead orders billing       what could it not handle, and why?
  $ spillway stream park                      what waits for somebody?`,
    )
}
