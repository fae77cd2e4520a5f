// The queues and streams of a topology on their engines: what handlers' messages are delivered to.
import type { Clock } from '../core/clock.ts'
import { type Retain, retentionOf } from '../core/retain.ts'
import { missing, type QueueCapabilities } from '../ports/capability.ts'
import type { OutboxMessage } from '../ports/database.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { StreamPort } from '../ports/stream.ts'
import { carriedBy } from '../queue/outgoing.ts'
import { recordOf } from '../transaction/outgoing-record.ts'
import type { Destinations } from '../transaction/relay.ts'
import { Received } from './received.ts'
import { ReceivedPort } from './received-port.ts'

export class Channels implements Destinations {
  readonly clock: Clock
  /** Where services that run here keep what they received. */
  readonly received: Received = new Received()
  readonly #queues: Engine
  readonly #streams: Engine
  readonly #partitions: number
  readonly #declared = new Map<string, Promise<number>>()

  constructor(queues: Engine, streams: Engine, partitions: number, clock: Clock) {
    this.#queues = queues
    this.#streams = streams
    this.#partitions = partitions
    this.clock = clock
  }

  queue(_name: string): QueuePort {
    if (!this.#queues.queue) throw missing(this.#queues.name, 'queue')
    return this.#queues.queue
  }

  /** The queues for those who look after them: with what services have received and keep. */
  get allQueues(): QueuePort {
    const port = this.queue('')
    return this.received.engines.length > 0
      ? new ReceivedPort(port, (queue) => this.received.of(queue))
      : port
  }

  /** The engine of the queues, and what it can do: what a handler asks of it is refused at once. */
  get queueEngine(): { readonly name: string; readonly capabilities: QueueCapabilities | undefined } {
    return { name: this.#queues.name, capabilities: this.#queues.queue?.capabilities }
  }

  /** Where queues and streams are, where a service's database could be the same. */
  get homes(): readonly object[] {
    return [this.#queues.queue?.home, this.#streams.stream?.home].filter((home) => home !== undefined)
  }

  get streamPort(): StreamPort {
    if (!this.#streams.stream) throw missing(this.#streams.name, 'stream')
    return this.#streams.stream
  }

  /** The stream's port and its partitions; the stream is declared when it is first asked for, with what its owner wants it to keep. */
  async stream(
    name: string,
    retain?: Retain,
  ): Promise<{ readonly port: StreamPort; readonly partitions: number }> {
    const port = this.streamPort
    let declared = this.#declared.get(name)
    if (!declared) {
      const retention = retain === undefined ? undefined : retentionOf(retain)
      declared = port
        .declare({ name, partitions: this.#partitions, retention })
        .then(({ partitions }) => partitions)
      this.#declared.set(name, declared)
      declared.catch(() => this.#declared.delete(name))
    }
    return { port, partitions: await declared }
  }

  /** Delivers messages directly: for services without a database. In order for each destination. */
  async deliver(messages: readonly OutboxMessage[]): Promise<void> {
    for (const { destination, id, key, body } of messages) {
      if (destination.kind === 'queue') {
        const message = { id, key, body, ...carriedBy(body, this.clock.now()) }
        await this.queue(destination.name).send(destination.name, [message])
        continue
      }
      const { port, partitions } = await this.stream(destination.name)
      await port.append(destination.name, [recordOf({ id, key, body }, partitions)])
    }
  }
}
