// The circuit breaker of one destination: it refuses calls that would fail, and finds out by a few trials when they no longer would.
import { aborted, type Clock, systemClock } from '../core/clock.ts'
import {
  type BreakerOptions,
  type BreakerRules,
  breakerRules,
  openFor,
  reasonToOpen,
} from './breaker-rules.ts'
import { BreakerWindow, type Counts } from './breaker-window.ts'

/** `closed`: calls go through. `open`: they are refused. `half-open`: a few are let through to try. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** `auto` is the breaker's own judgement; the others hold it until they are taken back. */
export type BreakerForce = 'open' | 'closed' | 'auto'

export interface BreakerRefusal {
  readonly refused: true
  readonly reason: 'breaker_open'
  /** When to ask again. A hint while trials are under way, or while somebody holds it open: then nobody knows. */
  readonly retryAfterMs: number
  readonly forced: boolean
}

/** Why a breaker came into its state. */
export type BreakerReason =
  | 'failures'
  | 'slow calls'
  | 'a trial failed'
  | 'a trial was slow'
  | 'a trial did not end'
  | 'time to try'
  | 'the trials went well'
  | 'forced'

/** For the command line and metrics. */
export interface BreakerSnapshot extends Counts {
  readonly state: BreakerState
  readonly forced: BreakerForce
  /** Undefined before its first change. */
  readonly because: BreakerReason | undefined
  /** Until calls are tried again; 0 when a call would go through now. */
  readonly retryAfterMs: number
  /** For how long it has been in this state. */
  readonly sinceMs: number
  /** How often it opened in a row, without having been closed for a whole window in between. */
  readonly openings: number
  readonly trialsUnderWay: number
  readonly trialsWentWell: number
  /** Since it was made: calls that were refused. */
  readonly refused: number
}

export interface BreakerDependencies {
  readonly clock?: Clock
  /** From 0 up to, but not, 1. */
  readonly random?: () => number
}

/** How a call ended, as far as the destination is concerned. */
export type Ending = 'succeeded' | 'failed' | 'cancelled'

/** Leave for one call. Says once how the call ended; what is said after that counts for nothing. */
export class Permit {
  readonly refused = false
  readonly #end: (permit: Permit, ending: Ending, elapsedMs: number | undefined) => void
  /** Of the breaker when it was given: after a change of state the call says nothing of the new one. */
  readonly generation: number
  /** 0 where nobody asks. */
  readonly startedMs: number
  #ended = false

  constructor(
    end: (permit: Permit, ending: Ending, elapsedMs: number | undefined) => void,
    generation: number,
    startedMs: number,
  ) {
    this.#end = end
    this.generation = generation
    this.startedMs = startedMs
  }

  /** The destination answered as it should; also that the caller was wrong (a refused client error). `elapsedMs`: by default since `acquire`. */
  succeeded(elapsedMs?: number): void {
    this.#once('succeeded', elapsedMs)
  }

  /** The destination failed, could not be reached, or the time was up. */
  failed(elapsedMs?: number): void {
    this.#once('failed', elapsedMs)
  }

  /** The caller gave up for reasons of its own: this says nothing of the destination. */
  cancelled(): void {
    this.#once('cancelled', undefined)
  }

  #once(ending: Ending, elapsedMs: number | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#end(this, ending, elapsedMs)
  }
}

/**
 * A circuit breaker (Nygard, "Release It!", 2007) that opens on the rate of failures or of slow calls in a sliding window of time.
 *
 * Nothing runs by itself: no timers but one for `whenAllowed` while somebody waits. That it is time to try, or that a trial did not end, is
 * noticed by whoever asks next. What it keeps is bounded: ten buckets of counts, and the trials under way.
 */
export class Breaker {
  readonly rules: BreakerRules
  readonly #clock: Clock
  readonly #random: () => number
  /** Reading the clock is the most expensive part of a call: without slow calls once is enough. */
  readonly #timed: boolean
  readonly #window: BreakerWindow
  /** In the order in which they began. */
  readonly #trials = new Set<Permit>()
  readonly #waiting = new Set<() => void>()
  #cancelTimer: (() => void) | undefined
  #state: BreakerState = 'closed'
  #forced: BreakerForce = 'auto'
  #because: BreakerReason | undefined
  #generation = 0
  #sinceMs: number
  #openUntilMs = 0
  /** When the trials closed it. */
  #closedMs = Number.NEGATIVE_INFINITY
  #openings = 0
  #wentWell = 0
  #refused = 0

  constructor(
    options?: BreakerOptions,
    { clock = systemClock, random = Math.random }: BreakerDependencies = {},
  ) {
    this.rules = breakerRules(options)
    this.#clock = clock
    this.#random = random
    this.#timed = this.rules.slowCallMs < Number.POSITIVE_INFINITY
    this.#window = new BreakerWindow(this.rules.windowMs)
    this.#sinceMs = clock.elapsed()
  }

  /** Open until somebody tries: also when the time to try has come. */
  get state(): BreakerState {
    return this.#state
  }

  get forced(): BreakerForce {
    return this.#forced
  }

  /** Leave for a call that begins now, or the refusal. Whoever has leave says how the call ended. */
  acquire(): Permit | BreakerRefusal {
    if (this.#state === 'closed')
      return new Permit(this.#end, this.#generation, this.#timed ? this.#clock.elapsed() : 0)
    const nowMs = this.#clock.elapsed()
    const refusal = this.#refusalAt(nowMs)
    if (refusal !== undefined) {
      this.#refused += 1
      return refusal
    }
    if (this.#state === 'open') this.#enter('half-open', 'time to try', nowMs)
    const permit = new Permit(this.#end, this.#generation, nowMs)
    if (this.#state === 'half-open') this.#trials.add(permit)
    return permit
  }

  /** The refusal that `acquire` would give now, without asking for leave. */
  refusal(): BreakerRefusal | undefined {
    return this.#state === 'closed' ? undefined : this.#refusalAt(this.#clock.elapsed())
  }

  /**
   * Resolves when `acquire` would give leave; at once if it would now. Several may be waiting and not all of them find a place for their trial: who is
   * refused waits again. Rejects with ABORTED when the signal fires first.
   */
  async whenAllowed(signal?: AbortSignal): Promise<void> {
    while (true) {
      if (signal?.aborted) throw aborted(signal)
      if (this.refusal() === undefined) return
      await this.#change(signal)
    }
  }

  /**
   * Holds it `open` or `closed` whatever happens, or gives it back to its own judgement: what was held open begins with trials, what was held closed
   * with an empty window. Calls under way count no more.
   */
  force(forced: BreakerForce): void {
    if (forced === this.#forced) return
    const before = this.#forced
    this.#forced = forced
    this.#openings = 0
    this.#closedMs = Number.NEGATIVE_INFINITY
    const released = before === 'open' ? 'half-open' : 'closed'
    this.#enter(forced === 'auto' ? released : forced, 'forced', this.#clock.elapsed())
  }

  snapshot(): BreakerSnapshot {
    const nowMs = this.#clock.elapsed()
    const refusal = this.#state === 'closed' ? undefined : this.#refusalAt(nowMs)
    this.#window.slide(nowMs)
    const { calls, failed, slow } = this.#window
    return {
      state: this.#state,
      forced: this.#forced,
      because: this.#because,
      retryAfterMs: refusal?.retryAfterMs ?? 0,
      sinceMs: nowMs - this.#sinceMs,
      openings: this.#openings,
      trialsUnderWay: this.#trials.size,
      trialsWentWell: this.#wentWell,
      refused: this.#refused,
      calls,
      failed,
      slow,
    }
  }

  /** For states other than closed. */
  #refusalAt(nowMs: number): BreakerRefusal | undefined {
    if (this.#forced === 'open') return refused(this.rules.openForMaxMs, true)
    if (this.#state === 'half-open') {
      const [oldest] = this.#trials
      if (oldest !== undefined && nowMs - oldest.startedMs >= this.rules.trialTimeoutMs)
        this.#open('a trial did not end', nowMs)
    }
    if (this.#state === 'half-open')
      return this.#trials.size + this.#wentWell < this.rules.trials
        ? undefined
        : refused(this.rules.openForMs, false)
    const leftMs = this.#openUntilMs - nowMs
    return leftMs > 0 ? refused(Math.ceil(leftMs), false) : undefined
  }

  readonly #end = (permit: Permit, ending: Ending, elapsedMs: number | undefined): void => {
    // It began before a change of state: it says how it was then.
    if (permit.generation !== this.#generation) return
    if (ending === 'cancelled') {
      if (this.#trials.delete(permit)) this.#wake()
      return
    }
    const nowMs = this.#clock.elapsed()
    const failed = ending === 'failed'
    const slow = (elapsedMs ?? nowMs - permit.startedMs) >= this.rules.slowCallMs
    if (this.#state === 'half-open') {
      this.#endTrial(permit, failed, slow, nowMs)
      return
    }
    this.#window.add(nowMs, failed, slow)
    if (this.#forced !== 'auto') return
    const reason = reasonToOpen(this.rules, this.#window)
    if (reason !== undefined) this.#open(reason, nowMs)
  }

  #endTrial(permit: Permit, failed: boolean, slow: boolean, nowMs: number): void {
    this.#trials.delete(permit)
    if (failed || slow) {
      this.#open(failed ? 'a trial failed' : 'a trial was slow', nowMs)
      return
    }
    this.#wentWell += 1
    if (this.#wentWell < this.rules.trials) return
    this.#closedMs = nowMs
    this.#enter('closed', 'the trials went well', nowMs)
  }

  #open(because: BreakerReason, nowMs: number): void {
    // What opens again soon after its trials went well was not well yet.
    const again = this.#state === 'half-open' || nowMs - this.#closedMs < this.rules.windowMs
    this.#openings = again ? this.#openings + 1 : 1
    this.#openUntilMs = nowMs + openFor(this.rules, this.#openings, this.#random)
    this.#enter('open', because, nowMs)
  }

  #enter(to: BreakerState, because: BreakerReason, nowMs: number): void {
    this.#state = to
    this.#because = because
    this.#generation += 1
    this.#sinceMs = nowMs
    this.#trials.clear()
    this.#wentWell = 0
    if (to === 'closed') this.#window.clear()
    this.#wake()
  }

  /** Resolves when something changed, or when time alone may have changed something. */
  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = () => {
        this.#waiting.delete(wake)
        if (this.#waiting.size === 0) this.#disarm()
        reject(aborted(signal))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(wake)
      this.#arm()
    })
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined || this.#forced === 'open') return
    const [oldest] = this.#trials
    const dueMs =
      this.#state === 'open' ? this.#openUntilMs : (oldest?.startedMs ?? 0) + this.rules.trialTimeoutMs
    // A timer may fire a fraction of a millisecond early.
    this.#cancelTimer = this.#clock.after(Math.max(1, Math.ceil(dueMs - this.#clock.elapsed())), () =>
      this.#wake(),
    )
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #wake(): void {
    this.#disarm()
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

function refused(retryAfterMs: number, forced: boolean): BreakerRefusal {
  return { refused: true, reason: 'breaker_open', retryAfterMs, forced }
}
