// spillway stream unpark: lets go of what a group has parked.
import { Command } from 'commander'
import { StreamGroup } from '../../stream/stream-group.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { print, printJson } from '../output/print.ts'
import { UsageError } from '../usage.ts'
import { requireGroup } from './known-group.ts'

interface Options extends EngineChoice {
  readonly all?: boolean
}

const examples = `
  $ spillway stream unpark orders billing ada      one key
  $ spillway stream unpark orders billing --all    every key

The events run through the handler in the order of their key, then the key goes on. One that fails again stays parked, with
those behind it: nothing is lost by trying.`

export function unparkCommand(): Command {
  return onEngine(
    new Command('unpark')
      .description('Have a group handle what it has parked: of one key, or all of it.')
      .argument('<stream>', 'the name of the stream')
      .argument('<group>', 'the name of the group')
      .argument('[key]', 'which key')
      .option('--all', 'every key, and what has none'),
    examples,
  ).action((stream: string, group: string, key: string | undefined, options: Options) =>
    withStreams(
      options,
      async ({ port }) => {
        await requireGroup(port, stream, group)
        await new StreamGroup(port, stream, group).unpark(key)
        if (options.json) return printJson({ stream, group, key: key ?? null })
        const what = key === undefined ? 'everything it has parked' : `what it has parked of ${key}`
        await print(`${group} will handle ${what}: at once where it runs, else when it starts.`)
      },
      () => {
        if ((key === undefined) === (options.all !== true))
          throw new UsageError(
            'Which key? Name it, or say --all. `spillway stream park` shows what is parked.',
          )
      },
    ),
  )
}
