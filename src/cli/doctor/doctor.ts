// spillway doctor: does an engine keep what it promises, here and now?
import { Command } from 'commander'
import { interrupted } from '../interrupted.ts'
import { choose } from '../on-engine.ts'
import { Bar } from '../output/bar.ts'
import { forgiveReaders, print } from '../output/print.ts'
import { reporting } from '../reporting.ts'
import { UsageError } from '../usage.ts'
import { wholeNumber } from '../whole-number.ts'
import { examine } from './examine.ts'
import { type Facts, printFacts, printReport, printReportJson } from './report.ts'

interface Options {
  readonly config?: string
  readonly only?: readonly string[]
  readonly concurrency: number
  readonly caseSeconds: number
  readonly streams?: boolean
  readonly json?: boolean
}

const examples = `
Examples:
  $ spillway doctor                                 the engine of the topology in this folder
  $ spillway doctor postgres://app@db/app           any engine
  $ spillway doctor kafka://broker:9092 --only stream.append groups
  $ spillway doctor redis://cache --only limit      whether limits that processes share hold there
  $ spillway doctor nats://host --json > nats.json

It runs the conformance suite, the definition of what an engine has to do, with real messages in queues, streams and
buckets of its own, called conformance-…, beside whatever the engine does otherwise. It takes a minute or several, and some load.
Exit code 1 when a case fails.`

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Check a live engine: what it survives, what it can do, and whether it does it.')
    .argument('[url]', 'the engine (default: the one that the topology names)')
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts, unless a URL is given)')
    .option('--streams', 'the engine of the streams, where the topology names one apart')
    .option('--only <ids...>', 'only cases whose ids begin so: queue.claim')
    .option('--concurrency <count>', 'how many cases run at the same time', wholeNumber(1, 64), 8)
    .option('--case-seconds <count>', 'how long a case may take', wholeNumber(1, 3_600), 60)
    .option('--json', 'print JSON for programs')
    .addHelpText('after', examples)
    .action((url: string | undefined, options: Options) => {
      forgiveReaders()
      return reporting(() => doctor(url, options))
    })
}

async function doctor(given: string | undefined, options: Options): Promise<void> {
  const { config, only = [], concurrency, caseSeconds, json } = options
  const choice = { ...(given && { engine: given }), ...(config && { config }) }
  const { url, topology } = await choose(choice, options.streams ? 'stream' : 'queue')
  const signal = interrupted()
  const bars = new Map<string, Bar>()
  let facts: Facts | undefined
  const end = () => {
    for (const bar of bars.values()) bar.end()
  }
  const examination = await examine(url, {
    only,
    concurrency,
    caseMs: caseSeconds * 1_000,
    signal,
    async onOpened({ name, url, durability }) {
      facts = { name, url, durability }
      if (!json) await printFacts(facts)
    },
    onProgress(phase, done, of, note) {
      let bar = bars.get(phase)
      if (!bar) {
        end()
        bar = new Bar(phase, of)
        bars.set(phase, bar)
      }
      bar.at(done, note)
    },
  }).finally(end)
  if (examination.results.length === 0 && !signal.aborted)
    throw new UsageError(
      `No case begins with ${only.join(' or ')}; try queue, queue.claim, stream, groups, limit, engine.`,
    )
  if (signal.aborted || examination.results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
  if (json) await printReportJson(facts!, examination, signal.aborted)
  else await printReport(facts!.name, examination, signal.aborted)
  if (!json && given === undefined && !options.streams && topology?.streams !== undefined)
    await print('', 'The streams of this topology are on another engine: spillway doctor --streams.')
}
