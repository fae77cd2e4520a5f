// spillway queue cancel: takes single messages out, also while they are being handled.
import { Command } from 'commander'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { printJson, printTable } from '../output/print.ts'
import { count } from '../output/words.ts'

const meaning = {
  removed: 'removed: it waited',
  signalled: 'signalled: its handler is told to end, then it is gone',
  unknown: 'unknown: no such message waits or is being handled',
} as const

const examples = `
  $ spillway queue peek billing.receipt                             shows the ids
  $ spillway queue cancel billing.receipt 019ab2c4-6a51-7000-8f6e-1c2d3e4f5a6b

Exit code 1 when one of the ids is unknown. Dead letters are not touched: see purge --dead.`

export function cancelCommand(): Command {
  return onEngine(
    new Command('cancel')
      .description(
        'Cancel messages by their ids: one that waits is removed, one that is being handled is aborted.',
      )
      .argument('<queue>', 'the name of the queue')
      .argument('<ids...>', 'the ids of the messages')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((queue: string, ids: readonly string[], options: EngineChoice & { readonly yes?: boolean }) =>
    withQueues(
      options,
      async ({ port, engine }) => {
        await port.count(queue)
        await confirm(
          `Cancel ${count(ids.length, 'message')} of ${queue} on ${engine.name} at ${engine.url}, for good?`,
          options.yes,
        )
        const answers = await port.cancel(queue, ids)
        const results = ids.map((id, index) => ({ id, result: answers[index]! }))
        if (results.some(({ result }) => result === 'unknown')) process.exitCode = 1
        if (options.json) return printJson({ queue, results })
        await printTable(
          [
            { title: 'ID', value: ({ id }) => id },
            { title: 'RESULT', value: ({ result }) => meaning[result] },
          ],
          results,
        )
      },
      () => requireConsent(options.yes),
    ),
  )
}
