// spillway calls ls: the contexts that a process calls, and how they are.
import { Command } from 'commander'
import type { CalledContext } from '../../call/breakers.ts'
import { breakersPath } from '../../call/server/control.ts'
import { forgiveReaders, print, printJson, printTable } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { count } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { askAll, atProcess, type ProcessChoice } from './asking.ts'

export function lsCommand(): Command {
  return atProcess(
    new Command('ls').description(
      'List the contexts that running processes have called: breakers, calls, instances.',
    ),
    'all that this user started by spillway up',
    `
  $ spillway calls ls
  $ spillway calls ls --at 4711 --json | jq '.[] | select(.breaker.state != "closed") | .context'`,
  ).action((options: ProcessChoice) => {
    forgiveReaders()
    return reporting(async () => {
      const answers = await askAll<readonly CalledContext[]>(options.at, breakersPath)
      const contexts = answers.flatMap(({ process, answer }) => answer.map((of) => ({ process, ...of })))
      if (options.json) return printJson(contexts)
      const names = answers.map(({ process }) => process).join(', ')
      if (contexts.length === 0) await print(`Nobody was called yet by process ${names}.`)
      else await printTable(columns, contexts)
    })
  })
}

type Row = CalledContext & { readonly process: string }

const columns: readonly Column<Row>[] = [
  { title: 'PROCESS', value: ({ process }) => process },
  { title: 'CONTEXT', value: ({ context }) => context, rest: true },
  {
    title: 'BREAKER',
    value: ({ breaker }) =>
      breaker.state === 'closed' && breaker.forced === 'auto'
        ? 'closed'
        : `${breaker.state} (${breaker.because})`,
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

function number(title: string, of: (context: Row) => number): Column<Row> {
  return { title, right: true, value: (context) => count(of(context)) }
}
