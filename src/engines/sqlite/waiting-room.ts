// Callers that wait for something to become claimable or readable. They look again when they are woken, when
// something is due, and now and then in case a wake-up was lost.
import type { Storage } from './storage.ts'

const lookAnywayMs = 500

/** Times are those of `performance`: the clock of the system may be put back or forward while somebody waits. */
interface Waiter {
  readonly until: number
  readonly leave: () => void
}

export class WaitingRoom {
  /** Rises with every wake-up: whoever looked before it must look again. */
  epoch = 0
  readonly #storage: Storage
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #dueAt = Number.POSITIVE_INFINITY
  #closed = false

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Looks until there is something, the time is over, the signal fires or the room is closed. */
  async until<T>(
    look: () => Promise<{ readonly found: T; readonly empty: boolean; readonly nextDue: number | null }>,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const deadline = waitMs > 0 ? performance.now() + waitMs : 0
    for (;;) {
      const epoch = this.epoch
      const { found, empty, nextDue } = await look()
      if (!empty || deadline === 0 || signal?.aborted || this.#closed || performance.now() >= deadline)
        return found
      if (epoch !== this.epoch) continue
      const dueInMs = nextDue === null ? lookAnywayMs : nextDue - Date.now()
      await this.#wait(Math.min(deadline, performance.now() + Math.min(dueInMs, lookAnywayMs)), signal)
      if (signal?.aborted || this.#closed) return found
    }
  }

  wake(): void {
    this.epoch++
    for (const waiter of this.#waiters) waiter.leave()
  }

  /** Something will be due of which those who wait may not know. */
  due(inMs: number): void {
    if (this.#waiters.size === 0) return
    const at = performance.now() + inMs
    this.#dueAt = Math.min(this.#dueAt, at)
    this.#setTimer(at)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.wake()
  }

  #wait(until: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        until,
        leave: () => {
          this.#waiters.delete(waiter)
          signal?.removeEventListener('abort', waiter.leave)
          this.#storage.release()
          resolve()
        },
      }
      this.#storage.hold()
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', waiter.leave, { once: true })
      this.#setTimer(until)
    })
  }

  #setTimer(at: number): void {
    if (at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(() => this.#ring(), Math.max(1, at - performance.now()))
    // What keeps the process alive is the hold on the storage.
    this.#timer.unref()
  }

  #ring(): void {
    const now = performance.now()
    const all = this.#dueAt <= now
    if (all) this.#dueAt = Number.POSITIVE_INFINITY
    this.#timerAt = Number.POSITIVE_INFINITY
    let next = this.#dueAt
    for (const waiter of this.#waiters) {
      if (all || waiter.until <= now) waiter.leave()
      else next = Math.min(next, waiter.until)
    }
    if (this.#waiters.size > 0) this.#setTimer(next)
  }
}
