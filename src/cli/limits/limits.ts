// spillway limits: rate limits, what they allow, and what they should be.
import { Command } from 'commander'
import { exportCommand } from './export.ts'
import { showCommand } from './show.ts'
import { tuneCommand } from './tune.ts'

export function limitsCommand(): Command {
  return new Command('limits')
    .description('Look at rate limits, and find out what they should be.')
    .addCommand(showCommand())
    .addCommand(tuneCommand())
    .addCommand(exportCommand())
    .addHelpText(
      'after',
      `
  $ spillway limits show limits.yaml  what does each rule allow at worst?
  $ spillway limits tune access.log   which bucket would have refused hardly anybody?
  $ spillway limits export limits.yaml --to nginx  for a gateway that is somebody else's`,
    )
}
