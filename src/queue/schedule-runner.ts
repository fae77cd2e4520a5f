// Fires the schedules of a queue, for as long as a consumer of it works. Any number of these may be at work: the engine lets one of
// them move a schedule on from each of its due times.
import { pauseAfter } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { asSpillwayError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { StoredSchedule } from '../ports/queue-schedules.ts'
import { dueTimes } from './due-times.ts'
import { runsOf } from './missed-runs.ts'
import { type Bell, bellOf } from './schedule-bell.ts'
import { scheduledMessage } from './schedule-message.ts'
import { readSpec } from './schedule-spec.ts'

/** Another process may have changed them: so long nobody tells us. */
const lookAgainMs = 10_000

type Tell = (error: SpillwayError) => void

/** Until `stopping`, or `end`, which resolves when it has ended. Nothing where the engine has no schedules. */
export function fireSchedules(
  queue: string,
  port: QueuePort,
  clock: Clock,
  onReport: OnReport | undefined,
  stopping: AbortSignal,
): { end(): Promise<void> } {
  if (!port.capabilities.schedules) return { end: async () => {} }
  const report = guarded(onReport)
  const from = `the schedules of ${queue}`
  const runner = new ScheduleRunner(queue, port, clock, (error) => report({ from, error }))
  const over = new AbortController()
  const running = runner.run(AbortSignal.any([stopping, over.signal]))
  return {
    async end() {
      over.abort()
      await running
    },
  }
}

class ScheduleRunner {
  readonly #queue: string
  readonly #port: QueuePort
  readonly #clock: Clock
  readonly #report: Tell
  readonly #bell: Bell
  /** Versions that could not be fired in the last pass, so that each is told of once. */
  #refused = new Set<number>()
  #failures = 0

  constructor(queue: string, port: QueuePort, clock: Clock, report: Tell) {
    this.#queue = queue
    this.#port = port
    this.#clock = clock
    this.#report = report
    this.#bell = bellOf(port, queue)
  }

  /** Resolves after `stopping`, or when the engine is closed. What goes wrong is reported and tried again. */
  async run(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted) {
      const { rung } = this.#bell
      let waitMs: number
      try {
        waitMs = await this.#fireDue(stopping)
        this.#failures = 0
      } catch (thrown) {
        if (stopping.aborted || isSpillwayError(thrown, 'CLOSED')) return
        this.#report(asSpillwayError(thrown))
        this.#failures += 1
        waitMs = pauseAfter(this.#failures)
      }
      await this.#bell.wait(rung, waitMs, this.#clock, stopping)
    }
  }

  /** Until nothing is due but what cannot be fired here. How long there is nothing to do then. */
  async #fireDue(stopping: AbortSignal): Promise<number> {
    const refused = new Set<number>()
    for (;;) {
      // Those that cannot be fired would else stand before others: one answer does not tell of all.
      const which = refused.size === 0 ? 'due' : { dueBesides: [...refused] }
      const { now, nextDue, schedules } = await this.#port.schedules(this.#queue, which)
      for (const schedule of schedules) {
        if (stopping.aborted) return 0
        try {
          await this.#fire(schedule, now)
        } catch (thrown) {
          const error = asSpillwayError(thrown)
          if (error.retryable || error.code === 'CLOSED') throw thrown
          refused.add(schedule.version)
          if (!this.#refused.has(schedule.version)) this.#report(error)
        }
      }
      if (schedules.length > 0) continue
      this.#refused = refused
      return nextDue === undefined ? lookAgainMs : Math.min(Math.max(nextDue - now, 1), lookAgainMs)
    }
  }

  async #fire(schedule: StoredSchedule, now: number): Promise<void> {
    const { name, due, version, spec } = schedule
    const read = readSpec(schedule)
    if (read instanceof SpillwayError) throw read
    const times = dueTimes(read.timing)
    const { fire, leftOut } = runsOf(times, read.missed, due, now)
    const messages = fire.map((at) =>
      scheduledMessage(read.message, { queue: this.#queue, name, due: at, now }),
    )
    const last = fire[fire.length - 1]
    const change = { name, spec, due: times.after(now), last, version, messages }
    const stored = await this.#port.putSchedule(this.#queue, change)
    if (stored === 'stored' && leftOut) this.#report(missed(this.#queue, schedule, read.missed, now))
  }
}

function missed(queue: string, { name, due }: StoredSchedule, rule: string, now: number): SpillwayError {
  const [from, to] = [new Date(due).toISOString(), new Date(now).toISOString()]
  const what = `The schedule ${name} of the queue ${queue} missed due times from ${from} to ${to}; its rule is '${rule}'.`
  return new SpillwayError('RUNS_MISSED', what, { details: { queue, schedule: name, from, to, rule } })
}
