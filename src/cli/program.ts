// The commands of `spillway`, one file each, with help that teaches.
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { callsCommand } from './calls/calls.ts'
import { checkCommand } from './check.ts'
import { doctorCommand } from './doctor/doctor.ts'
import { limitsCommand } from './limits/limits.ts'
import { outboxCommand } from './outbox/outbox.ts'
import { queueCommand } from './queue/queue.ts'
import { sagaCommand } from './saga/saga.ts'
import { streamCommand } from './stream/stream.ts'
import { upCommand } from './up.ts'

export function program(): Command {
  const root = new Command('spillway')
    .description('The event backbone for TypeScript services: runs a business topology and looks after it.')
    .version(version(), '-v, --version', 'print the version of Spillway')
    .addCommand(upCommand())
    .addCommand(checkCommand())
    .addCommand(queueCommand())
    .addCommand(streamCommand())
    .addCommand(outboxCommand())
    .addCommand(callsCommand())
    .addCommand(sagaCommand())
    .addCommand(limitsCommand())
    .addCommand(doctorCommand())
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
  $ spillway up --only billing  run one service, so that it can be deployed alone
  $ spillway queue ls           what waits, what failed?
  $ spillway stream tail orders --follow
  $ spillway outbox ls          what is not sent yet, what cannot be?
  $ spillway calls ls           how are the contexts that a process calls?
  $ spillway saga ls            which processes are under way?
  $ spillway limits show limits.yaml  what does each rule allow at worst?
  $ spillway limits tune access.log   which rate limits would suit this traffic?
  $ spillway limits export limits.yaml --to nginx  for a gateway that is somebody else's
  $ spillway doctor             does the engine keep what it promises?

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
    )
  settle(root, 'spillway')
  return root
}

/** Wrong usage is thrown, so that its exit code can be told from that of a failure; commander does not hand this on. */
function settle(command: Command, path: string): void {
  command.exitOverride().showHelpAfterError(`(${path} --help says more)`)
  for (const each of command.commands) settle(each, `${path} ${each.name()}`)
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { readonly version: string }).version
}
