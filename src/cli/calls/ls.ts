// spillway calls ls: the contexts that a process calls, and how they are.
import { Command } from 'commander'
import { breakersPath, type CalledContext } from '../../call/breakers.ts'
import { forgiveReaders, print, printJson, printTable } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { count } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { ask, atProcess, type ProcessChoice } from './asking.ts'

export function lsCommand(): Command {
  return atProcess(
    new Command('ls').description(
      'List the contexts that a running process has called: breakers, calls, instances.',
    ),
    `
  $ spillway calls ls
  $ spillway calls ls --at http://127.0.0.1:7001 --json | jq '.[] | select(.breaker.state != "closed") | .context'`,
  ).action((options: ProcessChoice) => {
    forgiveReaders()
    return reporting(async () => {
      const contexts = await ask<readonly CalledContext[]>(options.at, breakersPath)
      if (options.json) return printJson(contexts)
      if (contexts.length === 0) await print(`The process at ${options.at} has called nobody yet.`)
      else await printTable(columns, contexts)
    })
  })
}

const columns: readonly Column<CalledContext>[] = [
  { title: 'CONTEXT', value: ({ context }) => context, rest: true },
  {
    title: 'BREAKER',
    value: ({ breaker }) => breaker.state + (breaker.forced === 'auto' ? '' : ' (forced)'),
  },
  number('CALLS', ({ breaker }) => breaker.calls),
  number('FAILED', ({ breaker }) => breaker.failed),
  number('SLOW', ({ breaker }) => breaker.slow),
  number('REFUSED', ({ breaker, bulkhead }) => breaker.refused + bulkhead.refused),
  number('UNDER WAY', ({ bulkhead }) => bulkhead.underWay),
  number('WAITING', ({ bulkhead }) => bulkhead.waiting),
  number('RETRIES LEFT', ({ retryBudget }) => retryBudget.left),
  {
    title: 'INSTANCES',
    value: ({ instances }) => `${instances.filter(({ well }) => well).length} of ${instances.length} well`,
  },
]

function number(title: string, of: (context: CalledContext) => number): Column<CalledContext> {
  return { title, right: true, value: (context) => count(of(context)) }
}
