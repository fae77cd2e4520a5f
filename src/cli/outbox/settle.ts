// spillway outbox retry, and drop: what becomes of what was set aside.
import { Command } from 'commander'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson } from '../output/print.ts'
import { count } from '../output/words.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'
import { type OpenedOutbox, type OutboxChoice, onOutbox, withOutboxes } from './on-outbox.ts'

interface Options extends OutboxChoice {
  readonly all?: boolean
  readonly yes?: boolean
}

const page = 1_000
const sequence = wholeNumber(1, Number.MAX_SAFE_INTEGER)

export function retryCommand(): Command {
  return settling(
    'retry',
    'Put what was set aside back to be sent, with its id, behind all that waits.',
    'put back',
    `
  $ spillway outbox retry orders 1795447983436001   one, by the number that aside shows
  $ spillway outbox retry orders --all --yes        all that there are now`,
  )
}

export function dropCommand(): Command {
  return settling(
    'drop',
    'Forget what was set aside, for good.',
    'dropped',
    `
  $ spillway outbox drop orders 1795447983436001   one, by the number that aside shows
  $ spillway outbox drop orders --all`,
  )
}

function settling(name: 'retry' | 'drop', says: string, done: string, examples: string): Command {
  return onOutbox(
    new Command(name)
      .description(says)
      .argument('<service>', 'whose outbox')
      .argument(
        '[numbers...]',
        'which; the numbers that aside shows',
        (text: string, before: number[] = []) => [...before, sequence(text)],
      )
      .option('--all', 'all that there are now')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((service: string, numbers: readonly number[] | undefined, options: Options) => {
    const named = numbers ?? []
    return withOutboxes(
      service,
      options,
      async ([opened]) => {
        const { outbox, place } = opened!
        if (options.all) {
          const { setAside } = await outbox.count()
          const what = name === 'retry' ? 'Put back' : 'Forget for good'
          if (setAside > 0)
            await confirm(
              `${what} all ${count(setAside, 'message')} set aside by ${service} in ${place}?`,
              options.yes,
            )
        }
        const settled = options.all ? await settleAll(outbox, name) : await outbox[name](named)
        if (!options.all && settled < new Set(named).size) process.exitCode = 1
        if (options.json) return printJson({ service, [name === 'retry' ? 'putBack' : 'dropped']: settled })
        await print(`${count(settled, 'message')} ${done}.`)
      },
      () => {
        if ((options.all === true) === named.length > 0)
          throw new UsageError('Which? Name the numbers that aside shows, or say --all.')
        if (options.all) requireConsent(options.yes)
      },
    )
  })
}

/** What is set aside again meanwhile has a higher number, and is left alone. */
async function settleAll(outbox: OpenedOutbox['outbox'], name: 'retry' | 'drop'): Promise<number> {
  let settled = 0
  for (let after = 0; ; ) {
    const rows = await outbox.aside(page, after)
    if (rows.length === 0) return settled
    settled += await outbox[name](rows.map((row) => row.sequence))
    if (rows.length < page) return settled
    after = rows.at(-1)!.sequence
  }
}
