// spillway queue dead: the dead letters, with why they died and what was tried before.
import { Command } from 'commander'
import type { DeadMessage, QueuePort } from '../../ports/queue.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { Bar } from '../output/bar.ts'
import { lineWidth, print, printJson, styled } from '../output/print.ts'
import { cut, visible } from '../output/text.ts'
import { ago, at, count, dataOf, parsed, wholeBody } from '../output/words.ts'
import { Causes, hasReason, printCauses } from '../reasons.ts'
import { wholeNumber } from '../whole-number.ts'
import { deadPages } from './dead-pages.ts'

interface Options extends EngineChoice {
  readonly limit: number
  readonly after?: string
  readonly reason?: string
  readonly byReason?: boolean
  readonly full?: boolean
}

const examples = `
  $ spillway queue dead billing.receipt                          the 20 that died first
  $ spillway queue dead billing.receipt --by-reason              how many died of what
  $ spillway queue dead billing.receipt --reason "no such user"  only those
  $ spillway queue dead billing.receipt -n 1 --full              one, whole
  $ spillway queue redrive billing.receipt 17                    puts the one with this handle back`

export function deadCommand(): Command {
  return onEngine(
    new Command('dead')
      .description('Show dead letters, by the time of their death: reason, starts, history, data.')
      .argument('<queue>', 'the name of the queue')
      .option('-n, --limit <count>', 'how many at most', wholeNumber(1, 10_000), 20)
      .option('--after <handle>', 'go on behind this dead letter')
      .option('--reason <text>', 'only those whose reason has this text in it')
      .option('--by-reason', 'how many there are of each reason')
      .option('--full', 'the whole envelope of each, not cut'),
    examples,
  ).action((queue: string, options: Options) =>
    withQueues(options, async ({ port }) => {
      if (options.byReason) return summary(port, queue, options)
      const { found, next } = await find(port, queue, options)
      if (options.json) return printJson({ queue, deadLetters: found.map(asJson), next })
      if (found.length === 0)
        return print(`No dead letters of ${queue}${options.reason ? ' with this reason' : ''}.`)
      const width = options.full ? undefined : lineWidth()
      for (const dead of found) await print(...block(dead, width, options.full))
      if (next !== null) await print(styled('dim', `there may be more: --after ${next}`))
    }),
  )
}

async function find(port: QueuePort, queue: string, { limit, after, reason }: Options) {
  const found: DeadMessage[] = []
  const fits = hasReason(reason)
  for await (const page of deadPages(port, queue, after))
    for (const dead of page) if (fits(dead) && found.push(dead) === limit) return { found, next: dead.handle }
  return { found, next: null }
}

async function summary(port: QueuePort, queue: string, { after, reason, json }: Options): Promise<void> {
  const causes = new Causes()
  const fits = hasReason(reason)
  const bar = new Bar('looking through', (await port.count(queue)).dead)
  let looked = 0
  try {
    for await (const page of deadPages(port, queue, after)) {
      for (const dead of page) if (fits(dead)) causes.add(dead)
      looked += page.length
      bar.at(looked)
    }
  } finally {
    bar.end()
  }
  await printCauses(causes.all, { queue }, json)
}

function block(dead: DeadMessage, width: number | undefined, full: boolean | undefined): string[] {
  const { handle, id, key, reason, starts, diedAt, history, body } = dead
  const line = (text: string) => (width === undefined ? visible(text) : cut(visible(text), width))
  const when = `died ${at(diedAt)} UTC (${ago(diedAt)}) after ${count(starts, 'start')}`
  return [
    styled('bold', line(`${handle}  ${id}${key === undefined ? '' : `  key ${key}`}`)),
    line(`  ${when}`),
    styled('red', line(`  reason   ${reason}`)),
    ...history.map(({ start, at: time, reason: why }, index) =>
      line(`  ${index === 0 ? 'history ' : '        '} start ${start}, ${at(time)}: ${why}`),
    ),
    ...(full ? wholeBody(body).map((each) => `  ${each}`) : [line(`  data     ${dataOf(body)}`)]),
    '',
  ]
}

function asJson({ handle, id, key, reason, starts, diedAt, history, body }: DeadMessage) {
  return {
    handle,
    id,
    key: key ?? null,
    reason,
    starts,
    diedAt: new Date(diedAt).toISOString(),
    history: history.map(({ start, at, reason }) => ({ start, at: new Date(at).toISOString(), reason })),
    message: parsed(body),
  }
}
