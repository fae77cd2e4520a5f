// A subscription of its own, for what a consumer sends: its messages keep the subjects that they were stored under, so only
// the subscription tells whom they are for.
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'

export class Mailbox {
  readonly subject: string
  /** Called for every message. It must not throw. */
  handle: (message: Msg) => void = () => {}
  readonly #subscription: Subscription

  constructor(connection: NatsConnection, subject: string) {
    this.subject = subject
    this.#subscription = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.handle(message)
      },
    })
  }

  /** At once; what is on its way is dropped. */
  close(): void {
    if (!this.#subscription.isClosed()) this.#subscription.unsubscribe()
  }

  /** What the server sent before it heard of the end is still handled. */
  async drain(): Promise<void> {
    if (!this.#subscription.isClosed()) await this.#subscription.drain()
  }
}
