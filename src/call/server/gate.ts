// How many calls are answered at the same time: so many, a line of those that wait, and beyond it nobody.
import type { IncomingCall } from './incoming-call.ts'

interface Waiting {
  readonly admit: () => void
}

export class Gate {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #line = new Set<Waiting>()
  #inside = 0

  constructor(concurrency: number, maxWaiting: number) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
  }

  /** 'entered', or a promise of how the waiting ended; 'full' when the line is as long as it may be. Who entered must leave. */
  enter(call: IncomingCall): 'entered' | 'full' | Promise<'entered' | 'ended'> {
    if (this.#inside < this.#concurrency && this.#line.size === 0) {
      this.#inside += 1
      return 'entered'
    }
    if (this.#line.size >= this.#maxWaiting) return 'full'
    return new Promise((resolve) => {
      const waiting = {
        admit: () => {
          forget()
          resolve('entered')
        },
      }
      this.#line.add(waiting)
      const forget = call.onEnd(() => {
        if (this.#line.delete(waiting)) resolve('ended')
      })
    })
  }

  leave(): void {
    const [next] = this.#line
    if (next === undefined) {
      this.#inside -= 1
      return
    }
    this.#line.delete(next)
    next.admit()
  }
}
