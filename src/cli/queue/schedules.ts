// spillway queue schedules: what a queue is sent by the clock, when it is due, and taking one of them away.
import { Command } from 'commander'
import { isSpillwayError, SpillwayError } from '../../core/errors.ts'
import type { QueuePort } from '../../ports/queue.ts'
import type { StoredSchedule } from '../../ports/queue-schedules.ts'
import { readSpec } from '../../queue/schedule-spec.ts'
import { type EngineChoice, onEngine, withQueues } from '../on-engine.ts'
import { confirm, requireConsent } from '../output/confirm.ts'
import { print, printJson, printTable } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { at, every, span } from '../output/words.ts'

interface Options extends EngineChoice {
  readonly remove?: string
  readonly yes?: boolean
}

const examples = `
  $ spillway queue schedules reports                          what is sent when
  $ spillway queue schedules reports --remove nightly         asks first
  $ spillway queue schedules reports --json | jq '.schedules[] | .due'

Due times are in UTC. One that is overdue waits for a consumer of the queue, or for the queue to be resumed. A schedule goes on, also when no program mentions it any more, until it is removed; a
program that still does declares it anew when it starts. Exit code 1 when there is none of the name.`

export function schedulesCommand(): Command {
  return onEngine(
    new Command('schedules')
      .description('List the schedules of a queue: when each is due, and was; or remove one.')
      .argument('<queue>', 'the name of the queue')
      .option('--remove <name>', 'remove this schedule; what it has sent stays')
      .option('-y, --yes', 'do not ask'),
    examples,
  ).action((queue: string, options: Options) =>
    withQueues(
      options,
      ({ port, engine }) =>
        options.remove === undefined
          ? list(port, queue, options)
          : remove(port, queue, options.remove, `${engine.name} at ${engine.url}`, options),
      () => {
        if (options.remove !== undefined) requireConsent(options.yes)
      },
    ),
  )
}

async function list(port: QueuePort, queue: string, { json }: Options): Promise<void> {
  const { now, schedules } = await port.schedules(queue, 'all')
  const rows = schedules.map((stored) => toRow(stored, now))
  if (json) return printJson({ queue, schedules: rows })
  if (rows.length === 0) return print(`No schedules of ${queue}.`)
  await printTable(columns, rows)
}

async function remove(
  port: QueuePort,
  queue: string,
  name: string,
  where: string,
  { json, yes }: Options,
): Promise<void> {
  const { schedules } = await port.schedules(queue, { name })
  const known = schedules.length > 0
  if (known) await confirm(`Remove the schedule ${name} of ${queue} on ${where}?`, yes)
  const removed = known && (await port.removeSchedule(queue, name))
  if (!removed) process.exitCode = 1
  if (json) return printJson({ queue, name, removed })
  await print(removed ? `Removed ${name} of ${queue}.` : `There is no schedule ${name} of ${queue}.`)
}

interface Row {
  readonly name: string
  readonly cron: string | null
  readonly timeZone: string | null
  readonly everyMs: number | null
  readonly missed: string | null
  readonly due: string
  /** By how much, where nobody fired it in time: no consumer of the queue runs, or the queue is paused. */
  readonly overdueMs: number | null
  readonly last: string | null
  /** Why this program cannot read it. */
  readonly problem: string | null
}

/** A due time that has just come is about to be fired. */
const punctualMs = 60_000

function toRow(stored: StoredSchedule, now: number): Row {
  const spec = readSpec(stored)
  const read = spec instanceof SpillwayError ? undefined : spec
  const timing = read?.timing
  return {
    name: stored.name,
    cron: timing !== undefined && 'cron' in timing ? timing.cron : null,
    timeZone: timing !== undefined && 'cron' in timing ? timing.timeZone : null,
    everyMs: timing !== undefined && 'everyMs' in timing ? timing.everyMs : null,
    missed: read?.missed ?? null,
    due: new Date(stored.due).toISOString(),
    overdueMs: now - stored.due < punctualMs ? null : now - stored.due,
    last: stored.last === undefined ? null : new Date(stored.last).toISOString(),
    problem: isSpillwayError(spec) ? spec.message : null,
  }
}

const columns: readonly Column<Row>[] = [
  { title: 'SCHEDULE', value: ({ name }) => name, rest: true },
  {
    title: 'TIMES',
    value: ({ cron, everyMs }) => cron ?? (everyMs === null ? '' : `every ${every(everyMs)}`),
  },
  { title: 'ZONE', value: ({ timeZone }) => timeZone ?? '' },
  { title: 'MISSED', value: ({ missed }) => missed ?? '' },
  { title: 'DUE (UTC)', value: ({ due }) => at(Date.parse(due)) },
  {
    title: 'OVERDUE',
    value: ({ overdueMs }) => (overdueMs === null ? '' : span(overdueMs)),
  },
  { title: 'LAST', value: ({ last }) => (last === null ? '' : at(Date.parse(last))) },
  { title: 'PROBLEM', value: ({ problem }) => problem ?? '' },
]
