// What a breaker promises, as a list of calls that is looked through each time: too simple to be wrong.
import type { BreakerForce, BreakerState } from '../../src/call/breaker.ts'
import type { BreakerRules } from '../../src/call/breaker-rules.ts'

export type Ending = 'succeeded' | 'failed' | 'cancelled'

export interface ModelCall {
  readonly beganMs: number
  readonly trial: boolean
  /** False once it ended, and for what was under way when the state changed. */
  counts: boolean
}

export class BreakerModel {
  readonly #rules: BreakerRules
  readonly #random: () => number
  state: BreakerState = 'closed'
  forced: BreakerForce = 'auto'
  #openUntilMs = 0
  #openings = 0
  #closedMs: number | undefined
  #wentWell = 0
  #underWay: ModelCall[] = []
  #ended: { readonly atMs: number; readonly failed: boolean; readonly slow: boolean }[] = []

  constructor(rules: BreakerRules, random: () => number) {
    this.#rules = rules
    this.#random = random
  }

  /** Undefined: refused. */
  start(nowMs: number): ModelCall | undefined {
    if (this.retryAfterMs(nowMs) > 0) return undefined
    if (this.state === 'open') this.#change('half-open')
    const call = { beganMs: nowMs, trial: this.state === 'half-open', counts: true }
    this.#underWay.push(call)
    return call
  }

  end(call: ModelCall, ending: Ending, tookMs: number, nowMs: number): void {
    if (!call.counts) return
    call.counts = false
    this.#underWay = this.#underWay.filter((one) => one !== call)
    if (ending === 'cancelled') return
    const slow = tookMs >= this.#rules.slowCallMs
    if (call.trial) {
      if (ending === 'failed' || slow) this.#open(nowMs)
      else if (++this.#wentWell === this.#rules.trials) {
        this.#change('closed')
        this.#closedMs = nowMs
      }
      return
    }
    this.#ended.push({ atMs: nowMs, failed: ending === 'failed', slow })
    const { calls, failed, slow: slowOnes } = this.counts(nowMs)
    const { minimumCalls, failureRate, slowRate } = this.#rules
    const bad = failed / calls >= failureRate || slowOnes / calls >= slowRate
    if (this.forced === 'auto' && calls >= minimumCalls && bad) this.#open(nowMs)
  }

  force(forced: BreakerForce): void {
    if (forced === this.forced) return
    const to = forced === 'auto' ? (this.forced === 'open' ? 'half-open' : 'closed') : forced
    this.forced = forced
    this.#openings = 0
    this.#closedMs = undefined
    this.#change(to)
  }

  /** 0: a call would go through. */
  retryAfterMs(nowMs: number): number {
    const { trials, trialTimeoutMs, openForMs, openForMaxMs } = this.#rules
    if (this.forced === 'open') return openForMaxMs
    if (this.#underWay.some(({ trial, beganMs }) => trial && nowMs - beganMs >= trialTimeoutMs))
      this.#open(nowMs)
    if (this.state === 'closed') return 0
    if (this.state === 'open') return Math.max(0, Math.ceil(this.#openUntilMs - nowMs))
    return this.#underWay.length + this.#wentWell < trials ? 0 : openForMs
  }

  counts(nowMs: number): { calls: number; failed: number; slow: number } {
    const tenthMs = this.#rules.windowMs / 10
    const tenth = (ms: number) => Math.floor(ms / tenthMs)
    const seen = this.#ended.filter(({ atMs }) => tenth(atMs) > tenth(nowMs) - 10)
    return {
      calls: seen.length,
      failed: seen.filter(({ failed }) => failed).length,
      slow: seen.filter(({ slow }) => slow).length,
    }
  }

  #open(nowMs: number): void {
    const soon = this.#closedMs !== undefined && nowMs - this.#closedMs < this.#rules.windowMs
    this.#openings = this.state === 'half-open' || soon ? this.#openings + 1 : 1
    let boundMs = this.#rules.openForMs
    for (let opening = 1; opening < this.#openings; opening++) boundMs *= 2
    boundMs = Math.min(boundMs, this.#rules.openForMaxMs)
    this.#openUntilMs = nowMs + boundMs / 2 + (boundMs / 2) * this.#random()
    this.#change('open')
  }

  #change(to: BreakerState): void {
    this.state = to
    this.#wentWell = 0
    for (const call of this.#underWay) call.counts = false
    this.#underWay = []
    if (to === 'closed') this.#ended = []
  }
}
