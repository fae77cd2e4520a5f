// spillway stream dead: what a group could not handle, and why.
import { Command } from 'commander'
import type { StreamPort } from '../../ports/stream.ts'
import { type DeadLetterOfStream, StreamGroup } from '../../stream/stream-group.ts'
import { type EngineChoice, onEngine, withStreams } from '../on-engine.ts'
import { lineWidth, print, printJson, styled } from '../output/print.ts'
import { cut, visible } from '../output/text.ts'
import { count, dataOf, parsed, wholeBody } from '../output/words.ts'
import { Causes, hasReason, printCauses } from '../reasons.ts'
import { wholeNumber } from '../whole-number.ts'
import { requireGroup } from './known-group.ts'

interface Options extends EngineChoice {
  readonly limit: number
  readonly after?: number
  readonly reason?: string
  readonly byReason?: boolean
  readonly full?: boolean
}

const page = 1_000

const examples = `
  $ spillway stream dead orders billing                           the 20 that died first
  $ spillway stream dead orders billing --by-reason               how many died of what
  $ spillway stream dead orders billing --reason "no such price"  only those
  $ spillway stream dead orders billing -n 1 --full               one, whole
  $ spillway stream redrive orders billing 17                     has the one with this handle handled again`

export function deadCommand(): Command {
  return onEngine(
    new Command('dead')
      .description('Show the dead letters of a consumer group, oldest first: reason, attempts, place, data.')
      .argument('<stream>', 'the name of the stream')
      .argument('<group>', 'the name of the group')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, 10_000), 20)
      .option('--after <handle>', 'go on behind this dead letter', wholeNumber(0, Number.MAX_SAFE_INTEGER))
      .option('--reason <text>', 'only those whose reason has this text in it')
      .option('--by-reason', 'how many there are of each reason')
      .option('--full', 'the whole envelope of each, not cut'),
    examples,
  ).action((stream: string, group: string, options: Options) =>
    withStreams(options, async ({ port }) => {
      await requireGroup(port, stream, group)
      if (options.byReason) return summary(port, stream, group, options)
      const { found, next } = await find(port, stream, group, options)
      if (options.json) return printJson({ stream, group, deadLetters: found.map(asJson), next })
      if (found.length === 0)
        return print(`No dead letters of ${group} on ${stream}${options.reason ? ' with this reason' : ''}.`)
      const width = options.full ? undefined : lineWidth()
      for (const dead of found) await print(...block(dead, width, options.full))
      if (next !== null) await print(styled('dim', `there may be more: --after ${next}`))
    }),
  )
}

/** Those that were not redriven, page by page. */
async function* letters(port: StreamPort, stream: string, group: string, after: number | undefined) {
  const of = new StreamGroup(port, stream, group)
  for (let from = after === undefined ? 0 : after + 1; ; ) {
    const found = await of.deadLetters({ from, limit: page })
    yield* found
    if (found.length < page) return
    from = found.at(-1)!.deadPosition + 1
  }
}

async function find(
  port: StreamPort,
  stream: string,
  group: string,
  { limit, after, reason }: Options,
): Promise<{ found: DeadLetterOfStream[]; next: number | null }> {
  const found: DeadLetterOfStream[] = []
  const fits = hasReason(reason)
  for await (const dead of letters(port, stream, group, after))
    if (fits(dead) && found.push(dead) === limit) return { found, next: dead.deadPosition }
  return { found, next: null }
}

async function summary(
  port: StreamPort,
  stream: string,
  group: string,
  { after, reason, json }: Options,
): Promise<void> {
  const causes = new Causes()
  const fits = hasReason(reason)
  for await (const dead of letters(port, stream, group, after))
    if (fits(dead)) causes.add({ handle: String(dead.deadPosition), reason: dead.reason, diedAt: undefined })
  await printCauses(causes.all, { stream, group }, json)
}

function block(dead: DeadLetterOfStream, width: number | undefined, full: boolean | undefined): string[] {
  const { deadPosition, key, partition, position, attempts, reason, body } = dead
  const line = (text: string) => (width === undefined ? visible(text) : cut(visible(text), width))
  return [
    styled(
      'bold',
      line(`${deadPosition}  ${partition}/${position}${key === undefined ? '' : `  key ${key}`}`),
    ),
    line(`  died after ${count(attempts, 'attempt')}`),
    styled('red', line(`  reason   ${reason}`)),
    ...(full ? wholeBody(body).map((each) => `  ${each}`) : [line(`  data     ${dataOf(body)}`)]),
    '',
  ]
}

function asJson({ deadPosition, key, partition, position, attempts, reason, body }: DeadLetterOfStream) {
  return {
    handle: deadPosition,
    partition,
    position,
    key: key ?? null,
    attempts,
    reason,
    message: parsed(body),
  }
}
