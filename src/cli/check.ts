// spillway check: what is wrong with the wiring of a topology, before anything starts.
import { Command } from 'commander'
import { check, contextsOf, eventsOf, queuesOf } from '../topology/topology.ts'
import { loadTopology } from './config-file.ts'
import { reporting } from './reporting.ts'

const examples = `
Examples:
  $ spillway check                                   in the folder of the topology, and in every build
  $ spillway check --config services/spillway.config.ts
  $ spillway check --json | jq -e '.problems == []'

It opens no engine and starts nothing: it reads the topology and says what does not fit, one line for each problem.`

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Check that every event handled is published, every queue worked off, every call answered. Exit code 1 if not.',
    )
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts)')
    .option('--json', 'print { problems: [] } for programs')
    .addHelpText('after', examples)
    .action((options: { readonly config?: string; readonly json?: boolean }) =>
      reporting(async () => {
        const topology = await loadTopology(options.config)
        const problems = check(topology)
        if (problems.length > 0) process.exitCode = 1
        if (options.json) {
          process.stdout.write(`${JSON.stringify({ problems })}\n`)
          return
        }
        for (const problem of problems) process.stdout.write(`problem: ${problem}\n`)
        const contexts = contextsOf(topology)
        const events = contexts.flatMap(eventsOf).length
        const queues = contexts.flatMap(queuesOf).length
        const calls = contexts.flatMap((context) => Object.values(context.calls)).length
        const found = problems.length === 0 ? 'sound' : counted(problems.length, 'problem')
        const parts = [
          counted(contexts.length, 'context'),
          counted(events, 'event'),
          counted(queues, 'queue'),
          ...(calls > 0 ? [counted(calls, 'call')] : []),
        ]
        process.stdout.write(`${parts.join(', ')}: ${found}\n`)
      }),
    )
}

function counted(count: number, of: string): string {
  return `${count} ${of}${count === 1 ? '' : 's'}`
}
