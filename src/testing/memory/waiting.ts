// A call that waits for something to come: it ends by what came, or with nothing by its time, its signal or the close of
// the engine that it was made on.
import { setImmediate as nextTurn } from 'node:timers'
import type { Clock } from '../../core/clock.ts'

export interface Waiting<T> {
  readonly result: Promise<T[]>
  /** Ends the wait with what was found; later ends do nothing. */
  end(found: T[]): void
}

/** The waiting calls of one engine; `close` ends them with nothing. */
export type OpenCalls = Set<{ end(found: []): void }>

/**
 * The answer of a call that need not wait, on the next turn of the event loop. An engine that answered at once would let
 * whoever asks again and again keep everything else, timers too, from running: no real engine can do that.
 */
export function answer<T>(found: T[]): Promise<T[]> {
  return new Promise((resolve) => nextTurn(() => resolve(found)))
}

/** The call is in `open` until it ends; `leave` is called once, when it ends in whatever way. */
export function waiting<T>(
  clock: Clock,
  options: { readonly waitMs: number; readonly signal?: AbortSignal | undefined },
  open: OpenCalls,
  leave: () => void,
): Waiting<T> {
  const { promise, resolve } = Promise.withResolvers<T[]>()
  let over = false
  const end = (found: T[]): void => {
    if (over) return
    over = true
    cancel()
    options.signal?.removeEventListener('abort', nothing)
    open.delete(call)
    leave()
    resolve(found)
  }
  const nothing = (): void => end([])
  const cancel = clock.after(options.waitMs, nothing)
  options.signal?.addEventListener('abort', nothing)
  const call: Waiting<T> = { result: promise, end }
  open.add(call)
  return call
}
