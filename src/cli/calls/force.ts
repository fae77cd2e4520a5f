// spillway calls force: holds a breaker of a running process open or closed, or gives it back to its own judgement.
import { Argument, Command } from 'commander'
import type { CalledContext } from '../../call/breakers.ts'
import { breakersPath } from '../../call/server/control.ts'
import { forgiveReaders, print, printJson } from '../output/print.ts'
import { reporting } from '../reporting.ts'
import { askOne, atProcess, type ProcessChoice, theProcess } from './asking.ts'

const said = {
  open: 'It is called no more, until told otherwise.',
  closed: 'It is called whatever happens.',
  auto: 'Its breaker judges by itself again.',
} as const

export function forceCommand(): Command {
  return atProcess(
    new Command('force')
      .description('Hold the breaker of a context open or closed in one process, or give it back to itself.')
      .argument('<context>', 'the context that is called')
      .addArgument(new Argument('<state>', 'what to hold it at').choices(Object.keys(said))),
    'the only one that runs',
    `
  $ spillway calls force inventory open     before inventory is taken down: what calls it fails at once, or falls back
  $ spillway calls force inventory auto     begins with a few trials`,
  ).action((context: string, force: keyof typeof said, options: ProcessChoice) => {
    forgiveReaders()
    return reporting(async () => {
      const found = await theProcess(options.at, breakersPath)
      const path = `${breakersPath}/${encodeURIComponent(context)}`
      const { answer: after } = await askOne<CalledContext>(found, path, { force })
      if (options.json) await printJson(after)
      else await print(`${context} is ${after.breaker.state}. ${said[force]}`)
    })
  })
}
