// The queues that exist on the server, as far as this process has heard of them.
import { SpillwayError } from '../../core/errors.ts'
import type { Api, ConsumerInfo, StreamInfo } from './api.ts'
import type { Declaring } from './declaring.ts'
import type { Names, QueueNames } from './names.ts'

export interface KnownQueue {
  readonly name: string
  readonly names: QueueNames
  /** The lease that a message has as it comes. */
  readonly ackWaitMs: number
  /** Several messages can be stored as one. */
  readonly atomic: boolean
}

/** All consumers of a queue share this one. */
export const consumerName = 'spillway'
/** As long as the lease that consumers ask for unless told otherwise: theirs need no word more. */
const ackWaitMs = 30_000
const nanoseconds = 1_000_000

export class Queues {
  readonly #api: Api
  readonly #declaring: Declaring
  readonly #names: Names
  readonly #seen: (what: string, info: StreamInfo) => void
  readonly #known = new Map<string, KnownQueue>()

  constructor(api: Api, declaring: Declaring, names: Names, seen: (what: string, info: StreamInfo) => void) {
    this.#api = api
    this.#declaring = declaring
    this.#names = names
    this.#seen = seen
  }

  async declare(name: string): Promise<void> {
    const names = this.#names.queue(name)
    const info = await this.#declaring.declare({
      name: names.stream,
      subjects: [names.work, names.dead, `${names.mark}.>`],
      retention: 'workqueue',
      ...this.#declaring.base(false),
      ...(this.#declaring.batches ? { allow_atomic: true } : {}),
    })
    const found = await this.#api.consumerInfo(names.stream, consumerName)
    const consumer =
      found ??
      (await this.#api.createConsumer(names.stream, {
        name: consumerName,
        durable_name: consumerName,
        ack_policy: 'explicit',
        ack_wait: ackWaitMs * nanoseconds,
        deliver_policy: 'all',
        replay_policy: 'instant',
        filter_subject: names.work,
        max_deliver: -1,
        max_ack_pending: -1,
        max_waiting: 4_096,
      }))
    this.#learn(name, info, consumer)
  }

  known(name: string): KnownQueue | undefined {
    return this.#known.get(name)
  }

  /** Asks the server unless it is known; UNKNOWN_QUEUE when there is none. */
  async get(name: string): Promise<KnownQueue> {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const { stream } = this.#names.queue(name)
    const info = await this.#api.streamInfo(stream)
    const consumer = info === undefined ? undefined : await this.#api.consumerInfo(stream, consumerName)
    if (info === undefined || consumer === undefined)
      throw new SpillwayError('UNKNOWN_QUEUE', `There is no queue '${name}' on this NATS server.`, {
        engine: 'nats',
        details: { queue: name },
      })
    return this.#learn(name, info, consumer)
  }

  /** Rejects with UNKNOWN_QUEUE when the server does not have it any more. */
  async check(name: string): Promise<void> {
    this.#known.delete(name)
    await this.get(name)
  }

  #learn(name: string, info: StreamInfo, consumer: ConsumerInfo): KnownQueue {
    const queue = {
      name,
      names: this.#names.queue(name),
      ackWaitMs: Number(consumer.config.ack_wait) / nanoseconds,
      atomic: info.config.allow_atomic === true,
    }
    this.#known.set(name, queue)
    this.#seen(`the queue ${name}`, info)
    return queue
  }
}
