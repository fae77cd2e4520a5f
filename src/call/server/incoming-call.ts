// One call that came in: what its request says, how much time is left, and its end.
import type { Clock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { Caller } from './answer.ts'

/** What the request of a call says besides its input. */
export interface CallFacts {
  /** The peer of its connection. */
  readonly from?: string | undefined
  readonly deadlineMs: number
  readonly caller: Caller
  readonly key?: string | undefined
  /** How old the key was when the request left; undefined where nobody said. */
  readonly keyAgeMs?: number | undefined
  /** Who asks is answering a call itself. */
  readonly nested?: boolean
  readonly correlation?: string | undefined
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
}

/** Why nobody waits for the answer any more. */
export type End = 'deadline' | 'gone' | 'stopped'

const ends: Readonly<Record<End, string>> = {
  deadline: 'the deadline of its caller passed',
  gone: 'its caller is gone',
  stopped: 'the process stops',
}

export class IncomingCall {
  readonly facts: CallFacts
  /** By the clock's `elapsed()`: when the deadline passes. */
  readonly endsMs: number
  readonly #type: string
  /** Made when it is asked for: few answers do. */
  #abort: AbortController | undefined
  readonly #listeners = new Set<(end: End) => void>()
  readonly #cancelTimer: () => void
  #end: End | undefined
  #error: SpillwayError | undefined

  /** The time counts from `beganMs`, of the clock's `elapsed()`. */
  constructor(type: string, facts: CallFacts, clock: Clock, beganMs: number = clock.elapsed()) {
    this.facts = facts
    this.#type = type
    this.endsMs = beganMs + facts.deadlineMs
    const leftMs = this.endsMs - clock.elapsed()
    this.#cancelTimer = leftMs > 0 ? clock.after(leftMs, () => this.end('deadline')) : () => {}
    if (leftMs <= 0) this.end('deadline')
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController()
      if (this.#end !== undefined) this.#abort.abort(this.error())
    }
    return this.#abort.signal
  }

  get ended(): End | undefined {
    return this.#end
  }

  /** Whether the signal has fired, or would have. Asking makes none: most calls are answered without. */
  get isAborted(): boolean {
    return this.#end !== undefined || this.#abort?.signal.aborted === true
  }

  /**
   * Who asked a command is gone: the signal fires, and nothing ends. What heeds it stops, and stores nothing; what goes on may commit, for who was cut off
   * asks again with the key, and finds the answer.
   */
  abandon(): void {
    if (this.#end !== undefined) return
    this.#abort ??= new AbortController()
    this.#abort.abort(explained(this.#type, 'gone'))
  }

  /** Nobody waits any more: the signal fires. Only the first time counts. */
  end(why: End): void {
    if (this.#end !== undefined) return
    this.#end = why
    this.#cancelTimer()
    for (const listener of this.#listeners) listener(why)
    this.#listeners.clear()
    this.#abort?.abort(this.error())
  }

  /** Calls back when it ends, at once when it has; returns how to take that back. */
  onEnd(listener: (end: End) => void): () => void {
    if (this.#end !== undefined) listener(this.#end)
    else this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The answer is ready: there is nothing left to end. */
  close(): void {
    this.#cancelTimer()
    this.#listeners.clear()
  }

  /** Why it ended, for whoever goes on in spite of it. */
  error(): SpillwayError {
    if (this.#end === undefined && this.isAborted) return this.signal.reason as SpillwayError
    this.#error ??= explained(this.#type, this.#end ?? 'deadline')
    return this.#error
  }
}

function explained(type: string, end: End): SpillwayError {
  return new SpillwayError(
    end === 'deadline' ? 'DEADLINE' : 'ABORTED',
    `${type} is not answered any more: ${ends[end]}.`,
    { remedy: 'Stop what was begun for it.' },
  )
}
