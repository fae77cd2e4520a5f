// spillway queue finished: what was done, as far as the queue keeps it.
import { Command } from 'commander'
import type { FinishedMessage } from '../../ports/queue-control.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { print, printJson, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { visible } from '../output/text.ts'
import { ago, dataOf, parsed, wholeBody } from '../output/words.ts'
import { wholeNumber } from '../whole-number.ts'
import { goOnAfter } from './go-on.ts'

interface Options extends EngineChoice {
  readonly limit: number
  readonly after?: string
  readonly full?: boolean
}

const examples = `
  $ spillway queue finished billing.receipt               the 20 that were done last, one line each
  $ spillway queue finished billing.receipt -n 1 --full   the last, whole
  $ spillway queue finished billing.receipt --json | jq '.messages[].id'`

export function finishedCommand(): Command {
  return onEngine(
    new Command('finished')
      .description('Look at messages that were done, newest first. Only queues with keepFinished keep them.')
      .argument('<queue>', 'the name of the queue')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, 1_000), 20)
      .option('--after <handle>', 'go on behind this message, to older ones')
      .option('--full', 'the whole envelope of each, not cut'),
    examples,
  ).action((queue: string, options: Options) =>
    withQueues(options, async ({ port }) => {
      const { limit, after, full } = options
      const found = await port.finished(queue, { limit, after })
      const next = await goOnAfter(found, (last) => port.finished(queue, { limit: 1, after: last }))
      if (options.json) return printJson({ queue, messages: found.map(asJson), next })
      if (found.length === 0)
        return print(`${queue} keeps no finished messages${after === undefined ? '' : ' before that'}.`)
      if (full) for (const message of found) await print(...whole(message))
      else await printTable(columns, found)
      if (next !== null) await print(styled('dim', `there is more: --after ${next}`))
    }),
  )
}

const columns: readonly Column<FinishedMessage>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'FINISHED', value: ({ finishedAt }) => ago(finishedAt) },
  { title: 'STARTS', value: ({ starts }) => String(starts), right: true },
  { title: 'KEY', value: ({ key }) => key ?? '' },
  { title: 'DATA', value: ({ body }) => dataOf(body), rest: true },
]

function asJson({ handle, id, key, starts, finishedAt, body }: FinishedMessage) {
  return {
    handle,
    id,
    key: key ?? null,
    starts,
    finishedAt: new Date(finishedAt).toISOString(),
    message: parsed(body),
  }
}

function whole({ id, starts, finishedAt, body }: FinishedMessage): string[] {
  const title = `${id}  finished ${ago(finishedAt)}, starts ${starts}`
  return [styled('bold', visible(title)), ...wholeBody(body), '']
}
