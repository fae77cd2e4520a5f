// The line in front of one bucket: who waits for its turn, first come, first served, no more and no longer than the rule says.
import type { Clock } from '../core/clock.ts'
import { StayAlive } from '../core/stay-alive.ts'
import type { Line, Refusal } from './active-rule.ts'
import type { Decision, Reason } from './decision.ts'
import type { Subject } from './subject.ts'

interface Waiter {
  readonly subject: Subject
  readonly sinceMs: number
  readonly dueMs: number
  /** What it was told last. */
  refusal: Refusal
  readonly signal: AbortSignal | undefined
  /** Stands in the line no more. */
  readonly leave: () => void
  readonly resolve: (decision: Decision) => void
  readonly reject: (thrown: unknown) => void
}

export interface LineOptions {
  readonly clock: Clock
  /** Whose line it is. */
  readonly rule: string
  readonly most: number
  readonly longestWaitMs: number
  /** Decides for the first of the line. */
  readonly decide: (subject: Subject, sinceMs: number) => Refusal
  readonly emptied: () => void
}

/** Buckets in front of which somebody waits, of one rule in memory or of all in a store; who would begin one more line is told that too many wait. */
export const mostLines = 10_000

/** In a program that does nothing else, whoever waits for his turn gets it. */
const awake = new StayAlive()

/** How often somebody looks for what another line stands in front of. */
const placesMs = 20

/** One timer for the whole line, and none without anybody in it. */
export class WaitLine implements Line {
  readonly #options: LineOptions
  readonly #line = new Set<Waiter>()
  #cancelTimer: (() => void) | undefined

  constructor(options: LineOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#line.size
  }

  get sinceMs(): number {
    const [first] = this.#line
    return first?.sinceMs ?? Number.POSITIVE_INFINITY
  }

  join(subject: Subject, refusal: Refusal, signal: AbortSignal | undefined): Promise<Decision> {
    const { clock, most, longestWaitMs } = this.#options
    const reason = this.#whyNot(refusal, signal, most, longestWaitMs)
    if (reason !== undefined) {
      if (this.#line.size === 0) this.#options.emptied()
      return Promise.resolve(refusal.insteadOfWaiting(reason))
    }
    return new Promise((resolve, reject) => {
      const sinceMs = clock.elapsed()
      const waiter: Waiter = {
        subject,
        sinceMs,
        dueMs: sinceMs + longestWaitMs,
        refusal,
        signal,
        leave: () => {
          if (this.#line.delete(waiter)) awake.end()
          signal?.removeEventListener('abort', onAbort)
        },
        resolve,
        reject,
      }
      const onAbort = () => {
        end(waiter, waiter.refusal.insteadOfWaiting('cancelled'))
        this.serve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#line.add(waiter)
      awake.begin()
      if (this.#line.size === 1) this.#arm(waiter)
    })
  }

  serve(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    for (const waiter of [...this.#line]) {
      let decision: Refusal
      try {
        decision = this.#options.decide(waiter.subject, waiter.sinceMs)
      } catch (thrown) {
        // A function of the rules threw: that is for who asked, and the next one goes on.
        waiter.leave()
        waiter.reject(thrown)
        continue
      }
      if (decision.outcome !== 'wait') {
        end(waiter, decision)
        continue
      }
      waiter.refusal = decision
      if (this.#options.clock.elapsed() < waiter.dueMs) {
        this.#arm(waiter)
        return
      }
      end(waiter, decision.insteadOfWaiting('wait'))
    }
    this.#options.emptied()
  }

  dissolve(again: (subject: Subject, signal: AbortSignal | undefined) => Promise<Decision>): void {
    this.#cancelTimer?.()
    for (const waiter of [...this.#line]) {
      // At once: whoever stood in two lines would be counted twice.
      waiter.leave()
      again(waiter.subject, waiter.signal).then(waiter.resolve, waiter.reject)
    }
  }

  #whyNot(
    { retryAfterMs }: Refusal,
    signal: AbortSignal | undefined,
    most: number,
    longestWaitMs: number,
  ): Reason | undefined {
    if (signal?.aborted) return 'cancelled'
    if (this.#line.size >= most) return 'line'
    // What is held comes back when it comes back; anything else, not before then.
    return retryAfterMs !== Number.POSITIVE_INFINITY && retryAfterMs > longestWaitMs ? 'wait' : undefined
  }

  #arm({ dueMs, refusal }: Waiter): void {
    const { clock, rule } = this.#options
    // A place that comes free, and the end of another line, is told to that line only: who waits for it here looks.
    const untold = refusal.retryAfterMs === Number.POSITIVE_INFINITY || refusal.retryAfterMs === 0
    const lookMs = refusal.rule !== rule && untold ? placesMs : refusal.retryAfterMs
    const inMs = Math.min(lookMs, dueMs - clock.elapsed())
    this.#cancelTimer = clock.after(Math.max(1, Math.ceil(inMs)), () => this.serve())
  }
}

function end(waiter: Waiter, decision: Decision): void {
  waiter.leave()
  waiter.resolve(decision)
}
