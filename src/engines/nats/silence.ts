// Requests that wait on the server are forgotten without a word when the server that had them dies and others go on. So
// waiting requests ask for heartbeats, and silence ends them.
import { systemClock } from '../../core/clock.ts'

export const heartbeatMs = 1_500
/** Heartbeats have to be at most half of what a request waits. */
export const longEnoughMs: number = 2 * heartbeatMs
const silentMs = 4_000

export class Silence {
  readonly #ended: () => void
  #heardAt = performance.now()
  #cancel = (): void => {}

  /** Calls `ended` when nothing was heard for a while. */
  constructor(ended: () => void) {
    this.#ended = ended
    this.#wait(silentMs)
  }

  heard(): void {
    this.#heardAt = performance.now()
  }

  stop(): void {
    this.#cancel()
  }

  #wait(ms: number): void {
    const startedAt = performance.now()
    this.#cancel = systemClock.after(ms, () => {
      const now = performance.now()
      // When we were the ones who stood still, what was said meanwhile is yet to be heard.
      const stalled = now - startedAt > ms + silentMs / 2
      const rest = stalled ? silentMs : this.#heardAt + silentMs - now
      if (rest <= 0) this.#ended()
      else this.#wait(rest)
    })
  }
}
