// spillway stream replay: has one group handle everything from a place on again.
import { Command } from 'commander'
import { startPositions } from '../../stream/start.ts'
import { StreamGroup } from '../../stream/stream-group.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson } from '../output/print.ts'
import { UsageError } from '../usage.ts'
import { distances, inWords } from './distance.ts'
import { type From, from } from './from.ts'
import { requireGroup } from './known-group.ts'

interface Options extends EngineChoice {
  readonly from: From
  readonly yes?: boolean
}

const examples = `
  $ spillway stream replay orders billing --from 2h          what came in the last two hours, once more
  $ spillway stream replay orders billing --from earliest    everything that the stream keeps
  $ spillway stream replay orders billing --from 2026-11-23T06:50Z --yes

Handlers run again with all they do: mails are sent again unless they look. Other groups notice nothing. A group that does not
run now does it when it starts; a partition that has not come to the place yet goes on as it was.`

export function replayCommand(): Command {
  return onEngine(
    new Command('replay')
      .description('Have one consumer group handle everything from a place on again.')
      .argument('<stream>', 'the name of the stream')
      .argument('<group>', 'the name of the group')
      .requiredOption('--from <place>', 'earliest, a time, or how long ago: 15m, 2h', (text) => from(text))
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((stream: string, group: string, options: Options) =>
    withStreams(
      options,
      async ({ engine, port }) => {
        await requireGroup(port, stream, group)
        const bounds = await port.bounds(stream)
        const positions = await startPositions(port, stream, options.from, bounds)
        const lags = await distances(engine.name, port, stream, positions, bounds)
        const events = {
          events: lags.reduce((sum, each) => sum + each.events, 0),
          exact: lags.every(({ exact }) => exact),
        }
        const what = `${inWords(events)} events of ${stream}`
        await confirm(
          `Have ${group} handle up to ${what} again, on ${engine.name} at ${engine.url}? What its handlers do, they do again.`,
          options.yes,
        )
        // The positions that were shown, not where the time is by now.
        await new StreamGroup(port, stream, group).replay(positions)
        if (options.json)
          return printJson({ stream, group, events: events.events, exact: events.exact, positions })
        await print(`${group} will handle up to ${what} again: at once where it runs, else when it starts.`)
      },
      () => {
        if (options.from === 'latest')
          throw new UsageError('Behind the latest there is nothing to handle again.')
        requireConsent(options.yes)
      },
    ),
  )
}
