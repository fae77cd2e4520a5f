// Time as a dependency: everything that waits or dates takes a Clock, so that tests need not wait.
import { SpillwayError } from './errors.ts'

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds of a clock that never steps, from any beginning: for how long something has been going on. */
  elapsed(): number
  /** Calls `fire` once after `ms`; the returned function cancels. Does not keep the process alive. */
  after(ms: number, fire: () => void): () => void
}

const longest = 2 ** 31 - 1

/** As they were at first: whoever puts other timers in their place puts one of the first two there. */
const { Date: ownDate, setTimeout: ownSetTimeout, performance: ownPerformance } = globalThis

/** By the globals, also those that a test runner puts in their place. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed() {
    // The global `performance` is a getter, which takes a fifth of the time that it takes to ask it.
    const isOwn = Date === ownDate && setTimeout === ownSetTimeout
    return (isOwn ? ownPerformance : performance).now()
  },
  after(ms, fire) {
    const timer = setTimeout(fire, Math.min(Math.max(ms, 0), longest))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`; rejects with ABORTED when the signal fires first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal))
    const onAbort = () => {
      cancel()
      reject(aborted(signal))
    }
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

export function aborted(signal?: AbortSignal): SpillwayError {
  return new SpillwayError('ABORTED', 'The call was aborted.', { cause: signal?.reason })
}
