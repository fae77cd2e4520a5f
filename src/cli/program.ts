// The commands of `spillway`, one file each, with help that teaches.
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { checkCommand } from './check.ts'
import { upCommand } from './up.ts'

export function program(): Command {
  return new Command('spillway')
    .description('The event backbone for TypeScript services: runs a business topology and looks after it.')
    .version(version(), '-v, --version', 'print the version of Spillway')
    .showHelpAfterError()
    .addCommand(upCommand())
    .addCommand(checkCommand())
    .addHelpText(
      'after',
      `
A topology is declared in spillway.config.ts:

  import { topology } from 'spillway'
  import billing from './billing/service.ts'
  import orders from './orders/service.ts'
  export default topology({ contexts: [orders, billing], engine: 'sqlite:./data' })

  $ spillway check              is it wired together soundly?
  $ spillway up                 run every service
  $ spillway up --only billing  run one service, so that it can be deployed alone`,
    )
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { readonly version: string }).version
}
