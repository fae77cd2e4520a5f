// Where answers come in: one subscription, and a handler for each place that answers go to.
import type { Msg, NatsConnection } from '@nats-io/transport-node'

export interface Place {
  /** What goes into a request as its reply subject. */
  readonly subject: string
  close(): void
}

export class Inbox {
  readonly #prefix: string
  readonly #handlers = new Map<string, (message: Msg) => void>()
  #last = 0

  constructor(connection: NatsConnection, prefix: string) {
    this.#prefix = `${prefix}.`
    connection.subscribe(`${prefix}.*`, {
      callback: (error, message) => {
        if (error === null) this.#handlers.get(message.subject.slice(this.#prefix.length))?.(message)
      },
    })
  }

  /** Calls `handle` for every answer that comes until the place is closed. It must not throw. */
  open(handle: (message: Msg) => void): Place {
    const token = (++this.#last).toString(36)
    this.#handlers.set(token, handle)
    return { subject: this.#prefix + token, close: () => void this.#handlers.delete(token) }
  }
}
