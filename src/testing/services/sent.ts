// What a handler sent and cancelled, as a test asks for it.
import type { EventContract, QueueContract } from '../../core/contract.ts'
import type { Message } from '../../core/message.ts'
import type { OutboxMessage } from '../../ports/database.ts'
import type { Cancelled } from './kept.ts'

export class Sent {
  /** What the handler published and sent, in the order of its calls, in its envelopes. Empty when nothing was committed. */
  readonly messages: readonly Message[]
  /** The messages that the handler cancelled, whatever became of its commit. */
  readonly cancelled: readonly Cancelled[]
  readonly #sent: readonly OutboxMessage[]

  constructor(sent: readonly OutboxMessage[], cancelled: readonly Cancelled[]) {
    this.#sent = sent
    this.cancelled = cancelled
    this.messages = sent.map(({ body }) => JSON.parse(body) as Message)
  }

  /** The data of every such event that was published, as JSON carries it. */
  published<In>(event: EventContract<In, unknown>): In[] {
    return this.#dataTo('stream', event.stream, event.type)
  }

  /** The data of every message that was sent to the queue, as JSON carries it. */
  sent<In>(queue: QueueContract<In, unknown>): In[] {
    return this.#dataTo('queue', queue.queue, queue.type)
  }

  #dataTo<In>(kind: 'queue' | 'stream', name: string, type: string): In[] {
    return this.messages
      .filter((_, index) => {
        const { destination } = this.#sent[index]!
        return destination.kind === kind && destination.name === name
      })
      .filter((message) => message.type === type)
      .map(({ data }) => data as In)
  }
}
