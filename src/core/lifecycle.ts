// The one start/stop contract: whatever runs in the background is a Background.
import { type Clock, systemClock } from './clock.ts'

export interface StopOptions {
  /** How long work under way may go on before its signal is aborted. Default 10 s. */
  readonly deadlineMs?: number
}

/**
 * Something that runs until it is stopped. It is running when its maker returns it.
 *
 * `stop` takes no new work, lets what is under way finish within the deadline, then aborts it by signal, gives
 * back what it holds (leases, partitions), flushes, and resolves. It never rejects because of the work itself;
 * calling it again returns the first promise. `done` resolves after a stop, and rejects if the thing could not
 * go on by itself.
 */
export interface Background extends AsyncDisposable {
  readonly done: Promise<void>
  stop(options?: StopOptions): Promise<void>
}

/** Makes a Background from a loop that ends when its first signal fires and aborts its work by the second. */
export function background(
  run: (signals: { readonly stopping: AbortSignal; readonly abandon: AbortSignal }) => Promise<void>,
  clock: Clock = systemClock,
): Background {
  const stopping = new AbortController()
  const abandon = new AbortController()
  const done = run({ stopping: stopping.signal, abandon: abandon.signal })
  done.catch(() => {})
  let stopped: Promise<void> | undefined
  const stop = (options: StopOptions = {}): Promise<void> => {
    stopped ??= (async () => {
      stopping.abort()
      // A handler may wait for nothing but its signal: the process must live until that has come.
      const alive = setInterval(() => {}, 2 ** 31 - 1)
      const cancel = clock.after(options.deadlineMs ?? 10_000, () => abandon.abort())
      await done.catch(() => {})
      cancel()
      clearInterval(alive)
    })()
    return stopped
  }
  return { done, stop, [Symbol.asyncDispose]: () => stop() }
}
