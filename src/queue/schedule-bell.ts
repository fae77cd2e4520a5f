// Tells the consumers of a queue in this process that its schedules changed; those of other processes look for themselves.
import type { Clock } from '../core/clock.ts'
import type { QueuePort } from '../ports/queue.ts'

class Bell {
  #rung = 0
  readonly #waiting = new Set<() => void>()

  get rung(): number {
    return this.#rung
  }

  ring(): void {
    this.#rung += 1
    for (const end of this.#waiting) end()
  }

  /** Resolves when it was rung since `rung`, after `ms`, or when the signal fires. */
  wait(rung: number, ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (rung !== this.#rung || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        this.#waiting.delete(end)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = clock.after(ms, end)
      this.#waiting.add(end)
      signal.addEventListener('abort', end, { once: true })
    })
  }
}

export type { Bell }

const bells = new WeakMap<QueuePort, Map<string, Bell>>()

/** One for each queue of a port. */
export function bellOf(port: QueuePort, queue: string): Bell {
  const ofPort = bells.get(port) ?? new Map<string, Bell>()
  bells.set(port, ofPort)
  const bell = ofPort.get(queue) ?? new Bell()
  ofPort.set(queue, bell)
  return bell
}
