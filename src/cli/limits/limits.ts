// spillway limits: rate limits and what they should be.
import { Command } from 'commander'
import { tuneCommand } from './tune.ts'

export function limitsCommand(): Command {
  return new Command('limits')
    .description('Find out what rate limits should be.')
    .addCommand(tuneCommand())
    .addHelpText(
      'after',
      `
  $ spillway limits tune access.log   which bucket would have refused hardly anybody?`,
    )
}
