// What every command that looks after an engine has in common: where the engine comes from, and that it is closed again.
import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { isSpillwayError, SpillwayError } from '../core/errors.ts'
import { openEngine } from '../engine-of.ts'
import { missing } from '../ports/capability.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { StreamPort } from '../ports/stream.ts'
import type { Topology } from '../topology/topology.ts'
import { hasConfig, loadTopology } from './config-file.ts'
import { withoutDoctors } from './doctor/names.ts'
import { forgiveReaders } from './output/print.ts'
import { withReceived } from './received.ts'
import { reporting } from './reporting.ts'
import { UsageError } from './usage.ts'

export interface EngineChoice {
  readonly engine?: string
  readonly config?: string
  readonly json?: boolean
}

/** What the commands of queues and those of streams ask for: an engine may carry one of them only. */
export type Purpose = 'queue' | 'stream'

export interface Opened<Port> {
  readonly engine: Engine
  readonly port: Port
  /** Where the engine was not named, or a topology was as well. */
  readonly topology: Topology | undefined
}

/** Adds the options that choose the engine, and examples below the help. */
export function onEngine(command: Command, examples: string): Command {
  return command
    .option('--engine <url>', 'the engine (default: the one that the topology names)')
    .option('-c, --config <file>', 'the topology (default: spillway.config.ts, unless --engine is given)')
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExamples:\n${examples.replace(/^\n|\n$/g, '')}`)
}

/** `check` looks at the command line before the engine is opened. */
export function withQueues(
  options: EngineChoice,
  work: (opened: Opened<QueuePort>) => Promise<void>,
  check: () => void = () => {},
): Promise<void> {
  return withEngine(options, 'queue', check, (engine, topology) => {
    if (!engine.queue) throw missing(engine.name, 'queue')
    return withReceived(engine.queue, options.engine === undefined ? topology : undefined, (port) =>
      work({ engine, topology, port }),
    )
  })
}

export function withStreams(
  options: EngineChoice,
  work: (opened: Opened<StreamPort>) => Promise<void>,
  check: () => void = () => {},
): Promise<void> {
  return withEngine(options, 'stream', check, (engine, topology) => {
    if (!engine.stream) throw missing(engine.name, 'stream')
    return work({ engine, topology, port: engine.stream })
  })
}

function withEngine(
  options: EngineChoice,
  purpose: Purpose,
  check: () => void,
  work: (engine: Engine, topology: Topology | undefined) => Promise<void>,
): Promise<void> {
  forgiveReaders()
  return reporting(async () => {
    check()
    const { url, topology } = await choose(options, purpose)
    requireStore(url)
    const engine = await openEngine(url)
    try {
      await work(engine, topology)
    } catch (thrown) {
      throw await withNames(thrown, engine)
    } finally {
      await engine.close()
    }
  })
}

export async function choose(
  { engine, config }: EngineChoice,
  purpose: Purpose,
): Promise<{ readonly url: string; readonly topology: Topology | undefined }> {
  if (engine !== undefined && config === undefined) return { url: engine, topology: undefined }
  if (config === undefined && !hasConfig())
    throw new UsageError(
      `Which engine? There is no spillway.config.ts in ${process.cwd()} that names one: say --engine sqlite:./data, postgres://…, kafka://… or nats://….`,
    )
  const topology = await loadTopology(config)
  const named = purpose === 'stream' ? (topology.streams ?? topology.engine) : topology.engine
  return { url: engine ?? named, topology }
}

/** Opening a store makes it, and whoever mistypes a folder would look into an empty one. */
function requireStore(url: string): void {
  const path = /^sqlite:(.+)$/.exec(url)?.[1]
  if (path === undefined || statSync(path, { throwIfNoEntry: false })) return
  throw new SpillwayError('CONFIGURATION', `There is no store in ${path}: nothing was ever sent there.`, {
    engine: 'sqlite',
    remedy: 'Nothing was made. Correct the path, or start what sends there first.',
  })
}

/** Whoever asks for a queue that there is not is told which there are. */
async function withNames(thrown: unknown, { queue, stream }: Engine): Promise<unknown> {
  const port = isSpillwayError(thrown, 'UNKNOWN_QUEUE')
    ? queue
    : isSpillwayError(thrown, 'UNKNOWN_STREAM')
      ? stream
      : undefined
  if (!port || !isSpillwayError(thrown)) return thrown
  const names = withoutDoctors(await port.names().catch(() => []), false).shown
  const first = names.slice(0, 20).join(', ')
  const remedy =
    names.length === 0 ? 'There are none here.' : `These are here: ${first}${names.length > 20 ? ', …' : ''}.`
  const what = port === queue ? 'queue' : 'stream'
  return new SpillwayError(thrown.code, `There is no such ${what} on this engine.`, { remedy, cause: thrown })
}
