// spillway outbox aside: what was set aside, and why.
import { Command } from 'commander'
import type { AsideRow } from '../../ports/database.ts'
import { lineWidth, print, printJson, styled } from '../output/print.ts'
import { cut, visible } from '../output/text.ts'
import { dataOf, parsed, wholeBody } from '../output/words.ts'
import { wholeNumber } from '../whole-number.ts'
import { type OutboxChoice, onOutbox, withOutboxes } from './on-outbox.ts'

interface Options extends OutboxChoice {
  readonly limit: number
  readonly after?: number
  readonly full?: boolean
}

export function asideCommand(): Command {
  return onOutbox(
    new Command('aside')
      .description(
        'Show what was set aside because it cannot be sent: where it was to go, why not, its data.',
      )
      .argument('<service>', 'whose outbox')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, 10_000), 20)
      .option('--after <number>', 'go on behind this one', wholeNumber(0, Number.MAX_SAFE_INTEGER))
      .option('--full', 'the whole envelope of each, not cut'),
    `
  $ spillway outbox aside orders                    the first 20
  $ spillway outbox aside orders -n 1 --full        one, whole
  $ spillway outbox retry orders 1795447983436001   tries the one with this number again`,
  ).action((service: string, options: Options) =>
    withOutboxes(service, options, async ([opened]) => {
      const rows = await opened!.outbox.aside(options.limit, options.after)
      const next = rows.length === options.limit ? rows.at(-1)!.sequence : null
      if (options.json) return printJson({ service, setAside: rows.map(asJson), next })
      if (rows.length === 0) return print(`Nothing was set aside in the outbox of ${service}.`)
      const width = options.full ? undefined : lineWidth()
      for (const row of rows) await print(...block(row, width, options.full))
      if (next !== null) await print(styled('dim', `there may be more: --after ${next}`))
    }),
  )
}

function asJson({ body, ...row }: AsideRow) {
  return { ...row, message: parsed(body) }
}

function block(row: AsideRow, width: number | undefined, full: boolean | undefined): string[] {
  const line = (text: string) => (width === undefined ? visible(text) : cut(visible(text), width))
  const { sequence, destination, id, key, reason, body } = row
  return [
    line(
      `${sequence}  ${destination.kind} ${destination.name}  ${id}${key === undefined ? '' : `  key ${key}`}`,
    ),
    line(`  ${reason}`),
    ...(full ? wholeBody(body) : [line(`  ${dataOf(body)}`)]),
  ]
}
