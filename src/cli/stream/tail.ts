// spillway stream tail: the events of a stream, the last ones or from a place on, and those to come.
import { Command } from 'commander'
import type { PartitionPosition, StreamPort, StreamRecord } from '../../ports/stream.ts'
import { lastRecords } from '../../stream/last-records.ts'
import { startPositions } from '../../stream/start.ts'
import { interrupted } from '../interrupted.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { lineWidth, print, printJson, styled } from '../output/print.ts'
import { cut, visible } from '../output/text.ts'
import { at, dataOf, envelope, parsed, wholeBody } from '../output/words.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'
import { type From, from } from './from.ts'
import { readOn } from './reading.ts'

interface Options extends EngineChoice {
  readonly from?: From
  readonly lines?: number
  readonly follow?: boolean
  readonly key?: string
  readonly full?: boolean
}

const examples = `
  $ spillway stream tail orders                        the last 10 events
  $ spillway stream tail orders -n 100 --follow        the last 100, then those that come; Ctrl-C ends it
  $ spillway stream tail orders --from 15m             what the last quarter of an hour brought
  $ spillway stream tail orders --from 2026-11-23T06:50Z
  $ spillway stream tail orders --from earliest --key 4711
  $ spillway stream tail orders --follow --json | jq .message.data

No group notices that somebody looks. With --from the partitions are read beside one another: order holds per key.`

export function tailCommand(): Command {
  return onEngine(
    new Command('tail')
      .description(
        'Show the events of a stream: the last ones, or from a place on, and with --follow those to come.',
      )
      .argument('<stream>', 'the name of the stream')
      .option('-n, --lines <count>', 'the last so many (default: 10)', wholeNumber(0, 100_000))
      .option('--from <place>', 'earliest, latest, a time, or how long ago: 15m, 2h', (text) => from(text))
      .option('-f, --follow', 'go on with what comes, until Ctrl-C')
      .option('-k, --key <key>', 'only events with this key')
      .option('--full', 'the whole envelope of each, not cut'),
    examples,
  ).action((stream: string, options: Options) =>
    withStreams(
      options,
      ({ port }) => tail(port, stream, options),
      () => {
        if (options.from !== undefined && options.lines !== undefined)
          throw new UsageError('Say either --from or -n: both tell where to begin.')
        if (options.from === 'latest' && !options.follow)
          throw new UsageError('Behind the latest there is nothing yet: say --follow with --from latest.')
      },
    ),
  )
}

async function tail(port: StreamPort, stream: string, options: Options): Promise<void> {
  const { key, lines = 10, follow } = options
  const signal = interrupted()
  const fits = (record: StreamRecord) => key === undefined || record.key === key
  const show = async (records: readonly StreamRecord[]) => {
    for (const record of records)
      if (options.json) await printJson(asJson(record))
      else await print(...(options.full ? whole(record) : [line(record)]))
  }
  const ends = await port.bounds(stream)
  if (options.from === undefined) {
    const read = (from: readonly PartitionPosition[]) => readOn(port, stream, from, { ends, signal })
    if (lines > 0) await show(await lastRecords(lines, { ends, read, fits, signal }))
  } else {
    const starts = await startPositions(port, stream, options.from, ends)
    for await (const records of readOn(port, stream, starts, { ends, signal }))
      await show(records.filter(fits))
  }
  if (!follow) return
  const latest = ends.map(({ partition, next }) => ({ partition, position: next }))
  for await (const records of readOn(port, stream, latest, { signal })) await show(records.filter(fits))
}

function line({ partition, position, appendedAt, key, body }: StreamRecord): string {
  const type = envelope(body)?.type ?? ''
  const place = styled('dim', `${at(appendedAt)} ${partition}/${position}`)
  const width = lineWidth()
  const rest = visible(`${type}${key === undefined ? '' : ` [${key}]`} ${dataOf(body)}`)
  const room =
    width === undefined
      ? undefined
      : Math.max(12, width - `${at(appendedAt)} ${partition}/${position} `.length)
  return `${place} ${room === undefined ? rest : cut(rest, room)}`
}

function whole({ partition, position, appendedAt, key, version, body }: StreamRecord): string[] {
  const told = version === undefined ? '' : `, version ${version}`
  const title = `${at(appendedAt)} ${partition}/${position}${key === undefined ? '' : ` [${key}]`}${told}`
  return [styled('bold', visible(title)), ...wholeBody(body), '']
}

function asJson({ partition, position, appendedAt, key, version, body }: StreamRecord) {
  return {
    partition,
    position,
    appendedAt: new Date(appendedAt).toISOString(),
    key: key ?? null,
    version: version ?? null,
    message: parsed(body),
  }
}
