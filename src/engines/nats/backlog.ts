// The bound of what waits to be stored, over all queues or streams of an engine: whoever comes when it is reached waits in turn.
import { systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import { closedError } from './errors.ts'

const maxBytes = 64 * 1024 * 1024

interface Waiting {
  readonly bytes: number
  readonly admit: () => void
}

export class Backlog {
  readonly #timeoutMs: number
  #bytes = 0
  #waiting: Waiting[] = []
  #closed = false

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  get full(): boolean {
    return this.#waiting.length > 0 || this.#bytes >= maxBytes
  }

  /** Takes the room at once; only when `full` is it to be waited for. */
  take(bytes: number): void {
    this.#bytes += bytes
  }

  /** BACKLOG_FULL after a while. */
  async admission(bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const entry: Waiting = { bytes, admit: resolve }
    const cancel = systemClock.after(this.#timeoutMs, () => {
      this.#waiting = this.#waiting.filter((each) => each !== entry)
      reject(
        new SpillwayError('BACKLOG_FULL', `${maxBytes} bytes wait to be stored by NATS.`, { engine: 'nats' }),
      )
    })
    this.#waiting.push(entry)
    await promise.finally(cancel)
    if (this.#closed) throw closedError()
    this.#bytes += bytes
  }

  release(bytes: number): void {
    this.#bytes -= bytes
    if (this.#waiting.length > 0 && this.#bytes < maxBytes) this.#waiting.shift()!.admit()
  }

  close(): void {
    this.#closed = true
    for (const { admit } of this.#waiting.splice(0)) admit()
  }
}
