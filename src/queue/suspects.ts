// Messages that may have killed the process that held them begin one at a time in this process, whatever their queues: so
// the one to blame takes hardly another one with it. See docs/decisions/0006-rules-of-a-queue.md.
import type { Clock } from '../core/clock.ts'

/** For so long nothing begins beside a suspect; at its last permitted start, until it has ended. */
export const aloneMs = 1_000
/** From this start on a suspect runs beside nothing. Then it was in hand twice when a process died. */
export const aloneFrom = 3

/** Lets one in at a time, in the order of asking. */
export class Gate {
  readonly #waiting: ((leave: () => void) => void)[] = []
  #taken = false

  /** The way out, which may be called more than once; undefined while another is in. */
  tryEnter(): (() => void) | undefined {
    if (this.#taken) return undefined
    this.#taken = true
    let left = false
    return () => {
      if (left) return
      left = true
      this.#taken = false
      const next = this.#waiting.shift()
      if (next) next(this.tryEnter()!)
    }
  }

  /** Waits for its turn, at most so long and until the signal fires: then undefined. */
  async enter(clock: Clock, waitMs: number, signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined
    const leave = this.tryEnter()
    if (leave) return leave
    return new Promise((resolve) => {
      const onTurn = (given: () => void) => {
        cancel()
        signal.removeEventListener('abort', giveUp)
        resolve(given)
      }
      const giveUp = () => {
        cancel()
        signal.removeEventListener('abort', giveUp)
        this.#waiting.splice(this.#waiting.indexOf(onTurn), 1)
        resolve(undefined)
      }
      const cancel = clock.after(waitMs, giveUp)
      signal.addEventListener('abort', giveUp, { once: true })
      this.#waiting.push(onTurn)
    })
  }
}

/** That of this process. */
export const suspectGate: Gate = new Gate()
