// spillway queue purge: empties a queue, after a question.
import { Command } from 'commander'
import type { QueueCount, QueuePort } from '../../ports/queue.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { Bar } from '../output/bar.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson } from '../output/print.ts'
import { count } from '../output/words.ts'

interface Options extends EngineChoice {
  readonly dead?: boolean
  readonly yes?: boolean
}

const lookMs = 300

const examples = `
  $ spillway queue purge billing.receipt           everything that waits; asks first
  $ spillway queue purge billing.receipt --dead    its dead letters
  $ spillway queue purge billing.receipt --yes     in a script, where nobody can be asked`

export function purgeCommand(): Command {
  return onEngine(
    new Command('purge')
      .description('Remove all messages that wait, or all dead letters. What is being handled stays.')
      .argument('<queue>', 'the name of the queue')
      .option('--dead', 'the dead letters, not what waits')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action(async (queue: string, options: Options) =>
    withQueues(
      options,
      async ({ port, engine }) => {
        const what = options.dead ? 'dead' : 'waiting'
        const total = there(await port.count(queue), what)
        const noun = what === 'dead' ? 'dead letter' : 'waiting message'
        if (total > 0)
          await confirm(
            `Remove ${count(total, noun)} of ${queue} on ${engine.name} at ${engine.url}, for good?`,
            options.yes,
          )
        const removed = await watched(port, queue, what, total)
        if (options.json) return printJson({ queue, what, removed })
        await print(`${count(removed, noun)} of ${queue} removed.`)
      },
      () => requireConsent(options.yes),
    ),
  )
}

function there({ ready, delayed, waiting, dead }: QueueCount, what: 'waiting' | 'dead'): number {
  return what === 'dead' ? dead : ready + delayed + waiting
}

/** A purge says nothing until it is over: the counts tell how far it is. */
async function watched(
  port: QueuePort,
  queue: string,
  what: 'waiting' | 'dead',
  total: number,
): Promise<number> {
  const bar = new Bar('purging', total)
  let over = false
  let looking = Promise.resolve()
  const timer = setInterval(() => {
    looking = port.count(queue).then(
      (now) => {
        if (!over) bar.at(total - there(now, what))
      },
      () => {},
    )
  }, lookMs)
  try {
    return await port.purge(queue, what)
  } finally {
    over = true
    clearInterval(timer)
    await looking
    bar.end()
  }
}
