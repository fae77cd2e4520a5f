// Schedules of a queue, kept by the engine so that a due time fires once however many processes are awake. The engine knows
// neither cron nor time zones: whoever fires a schedule reckons when it is due next, and the engine lets one of them do so.
// A capability; without it, every method rejects with CAPABILITY_MISSING. All are durable when they resolve.
import { SpillwayError } from '../core/errors.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

export interface QueueSchedules {
  /**
   * `all`: every schedule of the queue, sorted by name; with a `name` that one, if there is one. `due`: those whose time has come by the
   * engine's own clock, the longest due first, up to 100; none while the queue is paused. `dueBesides`: the same without the states that have one
   * of these versions, so that who cannot fire some of them comes to the others.
   */
  schedules(queue: string, which: WhichSchedules): Promise<ScheduleList>

  /**
   * Stores a schedule together with the messages that it sends, all or nothing: in place of the state that has this `version`, or, without
   * one, as the first of its name. `stale`, and nothing is done, when its state is another by now, or it is gone, or, without a version, when
   * there is one. Messages are taken and refused as by `send`; a duplicate is not stored, and the schedule is all the same.
   * INVALID_OPTION when `due` is not later than what fired last, TOO_LARGE for a long `spec`, BACKLOG_FULL for more than
   * `maxSchedules` in a queue.
   */
  putSchedule(queue: string, change: ScheduleChange): Promise<'stored' | 'stale'>

  /** Whether there was one. Messages that it sent stay. */
  removeSchedule(queue: string, name: string): Promise<boolean>
}

export type WhichSchedules =
  | 'all'
  | 'due'
  | { readonly name: string }
  | { readonly dueBesides: readonly number[] }

export interface ScheduleList {
  /** The engine's clock, milliseconds since the epoch. */
  readonly now: number
  /** When the next one is due of those that are not due yet. Undefined when there is none, and while the queue is paused. */
  readonly nextDue: number | undefined
  readonly schedules: readonly StoredSchedule[]
}

export interface StoredSchedule {
  readonly name: string
  /** Opaque to the engine. */
  readonly spec: string
  /** Whole milliseconds since the epoch, as is `last`. */
  readonly due: number
  /** The due time that it fired for last. */
  readonly last: number | undefined
  /** Of this state. Never that of another state of a schedule of this name, also when it was removed meanwhile. */
  readonly version: number
}

export interface ScheduleChange {
  /** A name, as of a queue. */
  readonly name: string
  readonly spec: string
  readonly due: number
  /** Undefined leaves what there is. */
  readonly last?: number | undefined
  readonly version: number | undefined
  readonly messages: readonly OutgoingMessage[]
}

/** How many schedules a queue has at most, and how many of them are told as due at once. */
export const maxSchedules = 1_000
export const maxDueSchedules = 100
export const maxSpecBytes: number = 64 * 1024

/** Throws INVALID_OPTION or TOO_LARGE for what cannot be stored. `last`: what it fired for last, by what is stored. */
export function checkSchedule(engine: string, { name, spec, due, last }: ScheduleChange): void {
  const times = { due, last }
  for (const [what, time] of Object.entries(times))
    if (time !== undefined && !(Number.isSafeInteger(time) && time >= 0))
      throw invalid(
        engine,
        `${what} of the schedule ${name} is ${time}; it is a whole number of milliseconds since 1970.`,
      )
  if (last !== undefined && due <= last) throw notForward(engine, name, due, last)
  const bytes = Buffer.byteLength(spec)
  if (bytes > maxSpecBytes)
    throw new SpillwayError(
      'TOO_LARGE',
      `The schedule ${name} with its message has ${bytes} bytes; ${maxSpecBytes} are taken at most.`,
      { engine, details: { bytes, maxSpecBytes } },
    )
}

/** The error for a due time that would go back to one that fired. */
export function notForward(engine: string, name: string, due: number, last: number): SpillwayError {
  const what = `The schedule ${name} would be due at ${due}, but has fired for ${last} already; nothing was changed.`
  return invalid(engine, what)
}

export function tooManySchedules(engine: string, name: string): SpillwayError {
  const what = `The schedule ${name} was not stored: a queue has ${maxSchedules} at most.`
  return new SpillwayError('BACKLOG_FULL', what, { engine })
}

function invalid(engine: string, what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine })
}
