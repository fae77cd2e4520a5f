// spillway stream redrive: has a group handle its dead letters again, by handle, by reason, or all.
import { Command } from 'commander'
import { StreamGroup } from '../../stream/stream-group.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson } from '../output/print.ts'
import { count } from '../output/words.ts'
import { hasReason } from '../reasons.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'
import { requireGroup } from './known-group.ts'

interface Options extends EngineChoice {
  readonly all?: boolean
  readonly reason?: string
  readonly yes?: boolean
}

const examples = `
  $ spillway stream redrive orders billing 17 18                two, by the handles that dead shows
  $ spillway stream redrive orders billing --reason ECONNRESET  those whose reason has this text in it
  $ spillway stream redrive orders billing --all --yes          every one that there is now

They are handled after what the group has read of their key, and never beside another event of it. What fails again is a new dead letter.
Naming handles asks nothing, --reason and --all do. Exit code 1 when a handle names no dead letter.`

export function redriveCommand(): Command {
  const handle = wholeNumber(0, Number.MAX_SAFE_INTEGER)
  return onEngine(
    new Command('redrive')
      .description('Have a consumer group handle its dead letters again.')
      .argument('<stream>', 'the name of the stream')
      .argument('<group>', 'the name of the group')
      .argument(
        '[handles...]',
        'which; the handles that dead shows',
        (text, before: readonly number[] = []) => [...before, handle(text)],
      )
      .option('--all', 'all that there are now')
      .option('--reason <text>', 'those whose reason has this text in it')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((stream: string, group: string, handles: readonly number[] = [], options: Options) => {
    const many = options.all === true || options.reason !== undefined
    return withStreams(
      options,
      async ({ engine, port }) => {
        await requireGroup(port, stream, group)
        if (many) {
          const which =
            options.reason === undefined ? 'all' : `those with "${options.reason}" in their reason`
          await confirm(
            `Have ${group} handle its dead letters of ${stream} again, ${which}, on ${engine.name} at ${engine.url}?`,
            options.yes,
          )
        }
        const fits = hasReason(options.reason)
        const redriven = await new StreamGroup(port, stream, group).redrive(many ? fits : handles)
        if (!many && redriven < new Set(handles).size) process.exitCode = 1
        if (options.json) return printJson({ stream, group, redriven })
        const named = many ? '' : ` of the ${count(handles.length)} named`
        await print(
          `${group} will handle ${count(redriven, 'dead letter')}${named} again: at once where it runs, else when it starts.`,
        )
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
