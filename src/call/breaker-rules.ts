// When a breaker opens, for how long, and when it closes: what is decided, apart from the states in breaker.ts.
import { type Duration, milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { wholeOption } from '../core/whole-option.ts'
import type { Counts } from './breaker-window.ts'

export interface BreakerOptions {
  /** The calls of how long are looked at. Default 10 s. */
  readonly window?: Duration
  /** Fewer calls than these in the window say nothing. Default 10. */
  readonly minimumCalls?: number
  /** It opens when this share of them failed, above 0 and up to 1. Default 0.5. */
  readonly failureRate?: number
  /** A call that takes this long is slow, however it ends. By default none is: past its deadline a call has failed. */
  readonly slowCall?: Duration
  /** It opens when this share of the calls was slow, above 0 and up to 1. Default 0.8. */
  readonly slowRate?: number
  /** The longest that it stays open at first; doubled with each opening that follows. Default 1 s. */
  readonly openFor?: Duration
  /** The longest that it ever stays open. Default 30 s. */
  readonly openForMax?: Duration
  /** So many calls are let through to try, at the same time, and close it when all of them went well. Default 3. */
  readonly trials?: number
  /** A trial that has not ended after this has failed: longer than the longest deadline. Default 1 min. */
  readonly trialTimeout?: Duration
}

const names: OptionNames<BreakerOptions> = {
  window: true,
  minimumCalls: true,
  failureRate: true,
  slowCall: true,
  slowRate: true,
  openFor: true,
  openForMax: true,
  trials: true,
  trialTimeout: true,
}

/** The options, checked, with the defaults and in milliseconds. */
export interface BreakerRules {
  readonly windowMs: number
  readonly minimumCalls: number
  readonly failureRate: number
  /** Infinity: no call is slow. */
  readonly slowCallMs: number
  readonly slowRate: number
  readonly openForMs: number
  readonly openForMaxMs: number
  readonly trials: number
  readonly trialTimeoutMs: number
}

/** Throws INVALID_OPTION for what cannot work. */
export function breakerRules(options: BreakerOptions = {}): BreakerRules {
  checkOptions('breaker', options, names)
  const openForMs = atLeast(1, options.openFor ?? '1s', 'breaker.openFor')
  return {
    windowMs: atLeast(10, options.window ?? '10s', 'breaker.window'),
    minimumCalls: wholeOption(options.minimumCalls ?? 10, 'breaker.minimumCalls', 1, 1_000_000),
    failureRate: share(options.failureRate ?? 0.5, 'breaker.failureRate'),
    slowCallMs:
      options.slowCall === undefined
        ? Number.POSITIVE_INFINITY
        : atLeast(1, options.slowCall, 'breaker.slowCall'),
    slowRate: share(options.slowRate ?? 0.8, 'breaker.slowRate'),
    openForMs,
    openForMaxMs: atLeast(openForMs, options.openForMax ?? Math.max(30_000, openForMs), 'breaker.openForMax'),
    trials: wholeOption(options.trials ?? 3, 'breaker.trials', 1, 1_000),
    trialTimeoutMs: atLeast(1, options.trialTimeout ?? '1m', 'breaker.trialTimeout'),
  }
}

/** Why it opens, or undefined. A rate that is exactly reached opens. */
export function reasonToOpen(rules: BreakerRules, counts: Counts): 'failures' | 'slow calls' | undefined {
  if (counts.calls < rules.minimumCalls) return undefined
  // Divided, not multiplied: 7 of 100 is exactly 0.07, while 0.07 * 100 is more than 7.
  if (counts.failed / counts.calls >= rules.failureRate) return 'failures'
  if (counts.slow / counts.calls >= rules.slowRate) return 'slow calls'
  return undefined
}

/**
 * For how many milliseconds it stays open at its `opening`th time in a row (the first is 1): between half of the growing bound and all of it, so
 * that the callers of a destination do not come back as one ("equal jitter", Brooker, "Exponential Backoff and Jitter", AWS, 2015).
 */
export function openFor(rules: BreakerRules, opening: number, random: () => number): number {
  const bound = Math.min(rules.openForMaxMs, rules.openForMs * 2 ** Math.min(opening - 1, 52))
  return bound / 2 + (bound / 2) * random()
}

function share(value: number, option: string): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw invalid(`${option} is ${value}; it takes a share above 0 and up to 1.`)
}

function atLeast(leastMs: number, duration: Duration, option: string): number {
  const ms = milliseconds(duration, option)
  if (ms >= leastMs) return ms
  throw invalid(`${option} is ${ms} ms; it takes ${leastMs} ms or more.`)
}

function invalid(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what)
}
