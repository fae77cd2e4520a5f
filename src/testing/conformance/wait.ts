// Waiting in conformance cases: always for a condition and always with a bound, so that a broken engine fails a case and
// never hangs it.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

/** The bound for what should happen at once, wide enough for a loaded machine. */
export const soonMs = 5_000

/** Resolves as the promise does; fails when that takes longer than `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const late = new AbortController()
  const bound = delay(ms, undefined, { signal: late.signal }).then(() => {
    throw new assert.AssertionError({ message: `${what}: nothing after ${ms} ms` })
  })
  bound.catch(() => {})
  try {
    return await Promise.race([promise, bound])
  } finally {
    late.abort()
  }
}

/** Tries the check again until it passes; fails with its last error after `ms`. */
export async function eventually<T>(
  what: string,
  check: () => T | Promise<T>,
  ms: number = soonMs,
): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end)
        throw new assert.AssertionError({
          message: `${what}: not within ${ms} ms. ${error instanceof Error ? error.message : String(error)}`,
        })
    }
    await delay(15)
  }
}

export interface Timed<T> {
  readonly value: T
  readonly ms: number
}

export async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const start = performance.now()
  const value = await work()
  return { value, ms: performance.now() - start }
}

/** Fails when something came too early. Clocks are read in whole milliseconds on both sides, hence the tolerance. */
export function notBefore(ms: number, earliestMs: number, what: string): void {
  assert.ok(ms >= earliestMs - 3, `${what}: after ${ms.toFixed(1)} ms, but not before ${earliestMs} ms`)
}

/** Lets time pass that a case is about: a lease that has to end. Never a proof that something has happened. */
export async function pass(ms: number): Promise<void> {
  await delay(ms)
}

/** Lets the event loop turn `turns` times: varies the moment at which two things race. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Moments at which calls that are under way are cut off: before, between and after what they do. */
export const cutOffs: readonly ((calls: readonly Promise<unknown>[]) => Promise<unknown>)[] = [
  () => turns(1),
  () => turns(6),
  () => delay(2),
  (calls) => Promise.race(calls),
]
