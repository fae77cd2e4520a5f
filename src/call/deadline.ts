// How much time is left for a call, as a value that shrinks, and as a header that carries it on.
import { type Clock, systemClock } from '../core/clock.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { describe } from '../core/errors.ts'
import { headers } from './wire.ts'

/** With less than this left nothing useful can be sent and answered: what is below is over. */
export const smallestUsefulMs = 5

/** What a header may say: whoever has more time than an hour does not wait for a call. */
export const longestDeadlineMs = 3_600_000

export interface InvalidDeadline {
  readonly refused: true
  readonly reason: 'invalid_deadline'
  /** For who sent it. */
  readonly message: string
}

/** A signal that fires when the deadline passes or when the caller gives up, whichever is first. Release it when the call has ended. */
export interface DeadlineSignal extends Disposable {
  readonly signal: AbortSignal
  /** What fired it. */
  readonly ended: 'deadline' | 'cancelled' | undefined
  /** Ends the timer and lets go of the caller's signal. */
  release(): void
}

/**
 * The remaining time of a call.
 *
 * Only remaining time travels, never a time of day, and at each end it is counted by a clock that never steps: so it does not matter what the
 * clocks of two machines say. What is left as a bound: the receiver's deadline is late by the time in which the request travelled (transit),
 * and early by less than 1 ms for each hop, since the header has whole milliseconds.
 */
export class Deadline {
  readonly #clock: Clock
  /** Of the clock's `elapsed`. */
  readonly #atMs: number

  constructor(remainingMs: number, clock: Clock = systemClock) {
    this.#clock = clock
    this.#atMs = clock.elapsed() + remainingMs
  }

  /** Milliseconds that are left, with fractions; 0 when it has passed. */
  get remainingMs(): number {
    return Math.max(0, this.#atMs - this.#clock.elapsed())
  }

  /** Less is left than anything useful takes. */
  get over(): boolean {
    return this.remainingMs < smallestUsefulMs
  }

  /** Whichever passes first. */
  earlier(other: Deadline): Deadline {
    return other.remainingMs < this.remainingMs ? other : this
  }

  /** For the next hop: whole milliseconds, rounded down, so that time is never made. */
  header(): string {
    return String(Math.min(longestDeadlineMs, Math.floor(this.remainingMs)))
  }

  /** One timer, and no more than a listener on the signal of the caller. `onEnded` hears of it before the signal fires. */
  signal(caller?: AbortSignal, onEnded?: (by: 'deadline' | 'cancelled') => void): DeadlineSignal {
    const controller = new AbortController()
    let ended: DeadlineSignal['ended']
    const end = (by: 'deadline' | 'cancelled', reason: unknown) => {
      if (ended !== undefined) return
      ended = by
      release()
      onEnded?.(by)
      controller.abort(reason)
    }
    const onAbort = () => end('cancelled', caller?.reason)
    // As AbortSignal.timeout has it: everybody knows that name.
    const onTime = () =>
      end('deadline', new DOMException('The deadline of the call has passed.', 'TimeoutError'))
    const cancelTimer = this.#clock.after(Math.ceil(this.remainingMs), onTime)
    const release = () => {
      cancelTimer()
      caller?.removeEventListener('abort', onAbort)
    }
    if (caller?.aborted) onAbort()
    else caller?.addEventListener('abort', onAbort, { once: true })
    return {
      signal: controller.signal,
      get ended() {
        return ended
      },
      release,
      [Symbol.dispose]: release,
    }
  }
}

/** A deadline after a duration: `'2s'`, or milliseconds. Throws INVALID_OPTION for what is none. */
export function deadlineIn(duration: Duration, clock: Clock = systemClock): Deadline {
  return new Deadline(milliseconds(duration, 'deadline'), clock)
}

/** The deadline that the caller's header states, counted from now; otherwise as `remainingMsOf`. */
export function deadlineOf(
  header: string | readonly string[] | undefined,
  clock: Clock = systemClock,
): Deadline | InvalidDeadline | undefined {
  const ms = remainingMsOf(header)
  return typeof ms === 'number' ? new Deadline(ms, clock) : ms
}

/**
 * What the caller's header states: a whole number of milliseconds from 0 to an hour, in digits. Anything else is refused with a reason. That there
 * is no header means that the caller waits for ever as far as we know: undefined.
 */
export function remainingMsOf(
  header: string | readonly string[] | undefined,
): number | InvalidDeadline | undefined {
  if (header === undefined) return undefined
  if (typeof header !== 'string') return invalid(`stands there ${header.length} times`)
  if (/^-\d+$/.test(header)) return invalid(`is ${header.slice(0, 20)}, which is negative`)
  if (!/^\d{1,20}$/.test(header))
    return invalid(`is ${describe(header.slice(0, 40))}, which is no whole number`)
  const ms = Number(header)
  if (ms > longestDeadlineMs)
    return invalid(`is ${header}, which is more than an hour (${longestDeadlineMs})`)
  return ms
}

function invalid(what: string): InvalidDeadline {
  const message = `The header ${headers.deadline} ${what}. It takes the remaining milliseconds, from 0 to ${longestDeadlineMs}.`
  return { refused: true, reason: 'invalid_deadline', message }
}
