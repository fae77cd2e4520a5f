// What came of a message: how its attempt ended, and what its handler sent.
import type { EventContract, QueueContract } from '../../core/contract.ts'
import type { Message } from '../../core/message.ts'
import type { Settled } from '../../core/settled.ts'
import type { OutboxMessage } from '../../ports/database.ts'
import type { Cancelled } from './kept.ts'

/** An attempt that ended, with what only a test wants to know of it. */
export interface AttemptEnd extends Pick<Settled, 'outcome' | 'reason'> {
  /** What the handler threw, or why no handler was given the message. */
  readonly error: Error | undefined
  /** When it would come again, from now. */
  readonly retryInMs: number | undefined
}

export class Then implements AttemptEnd {
  readonly outcome: Settled['outcome']
  readonly reason?: string
  readonly error: Error | undefined
  /** Of one that is retried: after how many milliseconds. Chance, where the retry policy chose it. */
  readonly retryInMs: number | undefined
  /** What the handler published and sent, in the order of its calls, in its envelopes. Empty when nothing was committed. */
  readonly messages: readonly Message[]
  /** The messages that the handler cancelled, whatever became of its commit. */
  readonly cancelled: readonly Cancelled[]
  readonly #sent: readonly OutboxMessage[]

  constructor(
    { outcome, reason, error, retryInMs }: AttemptEnd,
    sent: readonly OutboxMessage[],
    cancelled: readonly Cancelled[],
  ) {
    this.outcome = outcome
    if (reason !== undefined) this.reason = reason
    this.error = error
    this.retryInMs = retryInMs
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
