// spillway queue pause, and resume.
import { Command } from 'commander'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { print, printJson } from '../output/print.ts'

export function pauseCommand(): Command {
  return onEngine(
    new Command('pause')
      .description(
        'Let nothing more be handled, in any process, until resume. What is under way ends; sending goes on.',
      )
      .argument('<queues...>', 'the names of the queues'),
    `
  $ spillway queue pause billing.receipt     before the mail server is moved
  $ spillway queue ls                        its STATE is paused; messages gather under READY
  $ spillway queue resume billing.receipt`,
  ).action((queues: readonly string[], options: EngineChoice) => set(queues, options, true))
}

export function resumeCommand(): Command {
  return onEngine(
    new Command('resume')
      .description('Let a paused queue be handled again. Does no harm to one that is not paused.')
      .argument('<queues...>', 'the names of the queues'),
    `
  $ spillway queue resume billing.receipt
  $ spillway queue resume billing.receipt orders.export`,
  ).action((queues: readonly string[], options: EngineChoice) => set(queues, options, false))
}

function set(queues: readonly string[], options: EngineChoice, paused: boolean): Promise<void> {
  return withQueues(options, async ({ port }) => {
    for (const queue of queues) {
      await (paused ? port.pause(queue) : port.resume(queue))
      if (!options.json) await print(`${queue} is ${paused ? 'paused' : 'handled again'}.`)
    }
    if (options.json) await printJson({ queues, paused })
  })
}
