// spillway up: runs the services of a topology until SIGTERM or SIGINT.
import { Command, InvalidArgumentError } from 'commander'
import { SpillwayError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { run } from '../topology/run.ts'
import { servicesOf, type Topology } from '../topology/topology.ts'
import { ownControl } from './calls/control-folder.ts'
import { loadTopology } from './config-file.ts'
import { metricsAt, serveMetrics } from './metrics.ts'
import { reporting } from './reporting.ts'

interface UpOptions {
  readonly config?: string
  readonly only?: string[]
  readonly engine?: string
  readonly streams?: string
  readonly strict?: boolean
  readonly listen?: string
  readonly control?: string
  readonly metrics?: ReturnType<typeof metricsOption>
  /** Seconds. */
  readonly grace: number
}

const examples = `
Examples:
  $ spillway up                                        every service of the topology in this folder
  $ spillway up --only billing payments                two of them; the others run elsewhere
  $ spillway up --engine postgres://app@db/app --streams kafka://broker:9092
  $ spillway up --listen http://127.0.0.1:7000 --metrics 9464
  $ spillway up --strict --grace 60                    in production: refuse weak settings, let handlers take a minute to end

It tells what went wrong and was survived on standard error. SIGTERM or Ctrl-C: nothing new is begun, handlers may finish for the time of
--grace, then their signals fire; what is not done is given back, for another process or the next start. A second signal ends it at once:
leases run out by themselves. Exit code 0 when it was stopped, 1 when it cannot go on.`

export function upCommand(): Command {
  return new Command('up')
    .description('Run the services of a topology: all of them, or some with --only.')
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts)')
    .option('--only <contexts...>', 'run only these contexts')
    .option('--engine <url>', 'another engine than the topology names')
    .option('--streams <url>', 'another engine for the streams')
    .option('--strict', 'refuse an engine that is less durable than the promise')
    .option(
      '--listen <url>',
      'where its calls are answered (default: a free port of the loopback, if it answers any)',
    )
    .option(
      '--control <path>',
      'the socket at which spillway calls asks it (default: where that looks for it)',
    )
    .option(
      '--metrics <port>',
      'serve metrics as Prometheus reads them; host:port for others than this machine',
      metricsOption,
    )
    .option('--grace <seconds>', 'how long handlers may finish after SIGTERM', seconds, 10)
    .addHelpText('after', examples)
    .action((options: UpOptions) => reporting(() => up(options)))
}

async function up(options: UpOptions): Promise<void> {
  const topology = await loadTopology(options.config)
  if (servicesOf(topology).length === 0)
    throw new SpillwayError('CONFIGURATION', 'This topology has no service to run, only contexts.')
  // Whoever read the output may have gone; the services have not.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
  const metrics = options.metrics && (await serveMetrics(options.metrics))
  try {
    await attend(topology, options, metrics?.address)
  } finally {
    await metrics?.close()
  }
}

async function attend(
  topology: Topology,
  { only, engine, streams, strict, listen, control, grace }: UpOptions,
  metricsAddress: string | undefined,
): Promise<void> {
  const own = control === undefined ? ownControl() : { path: control, ifPossible: false }
  const running = await run(topology, {
    ...(only && { only }),
    // An empty one, from a variable that is not set, names no engine: it must not mean the default.
    ...(engine !== undefined && { engine }),
    ...(streams !== undefined && { streams }),
    ...(strict && { strict }),
    ...(listen !== undefined && { listen }),
    ...('path' in own && { control: own }),
    onReport: (report) => process.stderr.write(`${line(report)}\n`),
  })
  for (const { name, url, durability } of running.engines)
    process.stdout.write(`engine ${name} at ${url}: ${durability.statement}\n`)
  if (running.address) process.stdout.write(`calls are answered at ${running.address}\n`)
  if (metricsAddress) process.stdout.write(`metrics at ${metricsAddress}\n`)
  for (const warning of running.warnings) process.stderr.write(`warning: ${warning}\n`)
  if ('problem' in own)
    process.stderr.write(`warning: spillway calls cannot ask this process: ${own.problem}; see --control\n`)
  // Before it is said, for who reads it may answer at once.
  const asked = new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  })
  process.stdout.write('up; stop with Ctrl-C\n')
  try {
    const signal = await Promise.race([asked, running.done])
    process.stdout.write(
      `${signal}: finishing what is under way, for up to ${grace} s; once more ends it at once\n`,
    )
  } finally {
    await running.stop({ deadlineMs: grace * 1000 })
  }
}

function metricsOption(text: string) {
  const at = metricsAt(text)
  if (at) return at
  throw new InvalidArgumentError('It takes a port, or host:port.')
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 86_400) return value
  throw new InvalidArgumentError('It takes seconds, from 0 to 86400.')
}

function line({ from, error }: Report): string {
  const cause = error.cause instanceof Error ? ` Cause: ${error.cause.message}` : ''
  return `${new Date().toISOString()} ${from}: ${error.message}${cause}`
}
