// spillway queue redrive: puts dead letters back, by handle, by reason, or all.
import { Command } from 'commander'
import type { QueuePort } from '../../ports/queue.ts'
import { redriveAll } from '../../queue/dead-letters.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { Bar } from '../output/bar.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson, readerGone } from '../output/print.ts'
import { count } from '../output/words.ts'
import { hasReason } from '../reasons.ts'
import { UsageError } from '../usage.ts'

interface Options extends EngineChoice {
  readonly all?: boolean
  readonly reason?: string
  readonly yes?: boolean
}

const examples = `
  $ spillway queue redrive billing.receipt 17 18                two, by the handles that dead shows
  $ spillway queue redrive billing.receipt --reason ECONNRESET  those whose reason has this text in it
  $ spillway queue redrive billing.receipt --all --yes          every one that there is now

Naming handles asks nothing, --reason and --all do. Exit code 1 when a handle names no dead letter.`

export function redriveCommand(): Command {
  return onEngine(
    new Command('redrive')
      .description('Put dead letters back into their queue, with their ids and no starts.')
      .argument('<queue>', 'the name of the queue')
      .argument('[handles...]', 'which; the handles that dead shows')
      .option('--all', 'all that there are now')
      .option('--reason <text>', 'those whose reason has this text in it')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((queue: string, handles: readonly string[], options: Options) => {
    const many = options.all === true || options.reason !== undefined
    return withQueues(
      options,
      async ({ port, engine }) => {
        const place = `${queue} on ${engine.name} at ${engine.url}`
        const redriven = many
          ? await putManyBack(port, queue, options, place)
          : await port.redrive(queue, handles)
        if (!many && redriven < new Set(handles).size) process.exitCode = 1
        if (options.json) return printJson({ queue, redriven })
        const named = many ? '' : ` of the ${count(handles.length)} named`
        await print(`${count(redriven, 'dead letter')}${named} put back into ${queue}.`)
      },
      () => {
        if (many === handles.length > 0)
          throw new UsageError(
            'Which dead letters? Name their handles, or say --all, or --reason with a text.',
          )
        if (many) requireConsent(options.yes)
      },
    )
  })
}

async function putManyBack(
  port: QueuePort,
  queue: string,
  { reason, yes }: Options,
  place: string,
): Promise<number> {
  const { dead: total } = await port.count(queue)
  if (total === 0) return 0
  const which =
    reason === undefined
      ? `${total === 1 ? 'the' : 'all'} ${count(total, 'dead letter')}`
      : `those of ${count(total, 'dead letter')} whose reason has "${reason}" in it`
  await confirm(`Put ${which} of ${place} back to be handled?`, yes)
  const bar = new Bar('putting back', total)
  const fits = hasReason(reason)
  let looked = 0
  try {
    return await redriveAll(port, queue, {
      where(dead) {
        bar.at(++looked)
        return fits(dead)
      },
      signal: readerGone,
    })
  } finally {
    bar.end()
  }
}
