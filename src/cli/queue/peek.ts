// spillway queue peek: the messages that wait or are being handled, without touching them.
import { Command } from 'commander'
import type { PeekedMessage } from '../../ports/queue-control.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { print, printJson, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { visible } from '../output/text.ts'
import { ago, dataOf, envelope, parsed, span, wholeBody } from '../output/words.ts'
import { wholeNumber } from '../whole-number.ts'
import { goOnAfter } from './go-on.ts'

interface Options extends EngineChoice {
  readonly limit: number
  readonly after?: string
  readonly full?: boolean
}

const examples = `
  $ spillway queue peek billing.receipt               the 20 oldest, one line each
  $ spillway queue peek billing.receipt -n 1 --full   the oldest, whole
  $ spillway queue peek billing.receipt --json | jq '.messages[].message.data'`

export function peekCommand(): Command {
  return onEngine(
    new Command('peek')
      .description('Look at messages that wait or are being handled, oldest first. Nothing is claimed.')
      .argument('<queue>', 'the name of the queue')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, 1_000), 20)
      .option('--after <handle>', 'go on behind this message')
      .option('--full', 'the whole envelope of each, not cut'),
    examples,
  ).action((queue: string, options: Options) =>
    withQueues(options, async ({ port }) => {
      const { limit, after, full } = options
      const found = await port.peek(queue, { limit, after })
      const next = await goOnAfter(found, (last) => port.peek(queue, { limit: 1, after: last }))
      if (options.json) return printJson({ queue, messages: found.map(asJson), next })
      if (found.length === 0) return print(`Nothing waits in ${queue}.`)
      if (full) for (const message of found) await print(...whole(message))
      else await printTable(columns, found)
      if (next !== null) await print(styled('dim', `there is more: --after ${next}`))
    }),
  )
}

const columns: readonly Column<PeekedMessage>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'STATE', value: state },
  { title: 'STARTS', value: ({ starts }) => String(starts), right: true },
  { title: 'SENT', value: sent },
  { title: 'PRIORITY', value: ({ priority }) => (priority === 0 ? '' : String(priority)), right: true },
  { title: 'GROUP', value: ({ group }) => group ?? '' },
  { title: 'KEY', value: ({ key }) => key ?? '' },
  { title: 'DATA', value: ({ body }) => dataOf(body), rest: true },
]

/** With what it waits for, or how far it is. */
function state({ state, due, after, progress }: PeekedMessage): string {
  if (after !== undefined)
    return `waiting for ${after[0]}${after.length > 1 ? ` and ${after.length - 1} more` : ''}`
  const left = due === undefined ? '' : ` ${span(Math.max(0, due - Date.now()))}`
  return `${state}${left}${progress === undefined ? '' : ` at ${progress}`}`
}

function sent({ body }: PeekedMessage): string {
  const time = Date.parse(envelope(body)?.time ?? '')
  return Number.isNaN(time) ? '' : ago(time)
}

function asJson(peeked: PeekedMessage) {
  const { handle, id, key, state, starts, due, priority, group, body, after, progress } = peeked
  return {
    handle,
    id,
    key: key ?? null,
    state,
    starts,
    due: due === undefined ? null : new Date(due).toISOString(),
    priority,
    group: group ?? null,
    after: after ?? null,
    progress: progress === undefined ? null : parsed(progress),
    message: parsed(body),
  }
}

function whole(message: PeekedMessage): string[] {
  const { id, starts, body } = message
  return [styled('bold', visible(`${id}  ${state(message)}, starts ${starts}`)), ...wholeBody(body), '']
}
