// Declaring, listing and removing the schedules of a queue. Firing them is the consumers' (schedule-runner.ts).
import type { QueueContract } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { checkName } from '../core/name.ts'
import { missing } from '../ports/capability.ts'
import type { QueuePort } from '../ports/queue.ts'
import { dueTimes, type StoredTiming, storedTiming, type Timing } from './due-times.ts'
import { type Missed, missedRules } from './missed-runs.ts'
import { bellOf } from './schedule-bell.ts'
import { type ScheduledSendOptions, sealForSchedule } from './schedule-message.ts'
import { readSpec, type Schedule, type ScheduleSpec, specText, toSchedule } from './schedule-spec.ts'

export type ScheduleOptions = Timing &
  ScheduledSendOptions & {
    /** Default 'once'. */
    readonly missed?: Missed
  }

const scheduleOptions: OptionNames<ScheduleOptions> = {
  cron: true,
  timeZone: true,
  every: true,
  missed: true,
  priority: true,
  dedup: true,
  ttl: true,
}

/**
 * Stores the schedule: a new one is due from now on, one with other times too; one whose times are the stored ones keeps its due time, and takes
 * over what else is different. Idempotent, also when several processes do it at once.
 */
export async function declareSchedule<In>(
  contract: QueueContract<In, unknown>,
  port: QueuePort,
  engine: string,
  name: string,
  options: ScheduleOptions,
  data: In,
): Promise<Schedule> {
  checkName(name, 'schedule')
  if (!port.capabilities.schedules) throw missing(engine, 'queue', 'schedules')
  checkOptions(`The schedule ${name}`, options, scheduleOptions)
  const { queue } = contract
  const { missed = 'once' } = options
  if (!missedRules.includes(missed))
    throw new SpillwayError(
      'INVALID_OPTION',
      `missed is ${JSON.stringify(missed)}; it is one of ${missedRules.join(', ')}.`,
    )
  const timing = storedTiming(options)
  const origin = { source: `/${contract.context ?? ''}` }
  const wanted = {
    timing,
    missed,
    message: await sealForSchedule(contract, name, data, options, origin),
  }
  const spec = specText(wanted)
  // Whoever comes between has changed it: then it is looked at again.
  for (;;) {
    const { now, schedules } = await port.schedules(queue, { name })
    const [known] = schedules
    if (known?.spec === spec) return toSchedule(known, wanted)
    const due =
      known !== undefined && sameTiming(readSpec(known), timing)
        ? known.due
        : dueTimes(timing).after(Math.max(now, known?.last ?? 0))
    const change = { name, spec, due, version: known?.version, messages: [] }
    if ((await port.putSchedule(queue, change)) === 'stale') continue
    bellOf(port, queue).ring()
    return toSchedule({ ...change, last: known?.last, version: 0 }, wanted)
  }
}

/** By name. What this program cannot read is left out. */
export async function schedulesOf(port: QueuePort, queue: string): Promise<Schedule[]> {
  const { schedules } = await port.schedules(queue, 'all')
  return schedules.flatMap((stored) => {
    const spec = readSpec(stored)
    return spec instanceof SpillwayError ? [] : [toSchedule(stored, spec)]
  })
}

function sameTiming(known: ScheduleSpec | SpillwayError, timing: StoredTiming): boolean {
  return !(known instanceof SpillwayError) && JSON.stringify(known.timing) === JSON.stringify(timing)
}
