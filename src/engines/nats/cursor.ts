// A reader's place in one partition: an ephemeral consumer on the server, and the batches that came and were not yet asked for.
import type { Msg } from '@nats-io/transport-node'
import { newId } from '../../core/id.ts'
import { parseAckSubject } from './ack-subject.ts'
import type { Api, ConsumerInfo } from './api.ts'
import { floorOf } from './floors.ts'
import type { Mailbox } from './mailbox.ts'
import { BatchReader, positionOf, sequenceOf } from './record-batch.ts'
import { heartbeatMs, Silence } from './silence.ts'
import type { KnownStream } from './streams.ts'

/** How much is asked for ahead, about. */
const aheadBytes = 4 * 1024 * 1024
const aheadMessages = 256
const expiresMs = 30_000
/** When the server forgets a consumer that nobody asks. */
const forgottenMs = 60_000
const nanoseconds = 1_000_000

interface OpenConsumer {
  readonly name: string
  readonly mailbox: Mailbox
  /** Of the last message that came. */
  received: number
  /** What the requests under way still have to bring, in their order. */
  readonly pulls: number[]
  /** While requests are under way. */
  silence: Silence | undefined
}

export class Cursor {
  readonly stream: KnownStream
  readonly partition: number
  /** Of the record that is asked for next. */
  position: number
  /** When it was last given back, by `performance.now()`. */
  idleSince = 0
  /** Called whenever something came, or ended. */
  changed: () => void = () => {}
  closed = false
  /** What cannot be read. */
  failure: unknown
  /** The server has records for it, and none has come yet. */
  expecting = false
  readonly #api: Api
  readonly #batches: BatchReader[] = []
  /** The message to fetch next. */
  #next: number
  #consumer: OpenConsumer | undefined
  #opening: Promise<void> | undefined
  #meanBytes = aheadBytes / 8

  constructor(api: Api, stream: KnownStream, partition: number, position: number) {
    this.#api = api
    this.stream = stream
    this.partition = partition
    this.position = position
    this.#next = Math.max(1, sequenceOf(position))
  }

  get subject(): string {
    return `${this.stream.names.base}.${this.partition}`
  }

  /** The batch with the record to hand out next; undefined when none has come. */
  get head(): BatchReader | undefined {
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      while (!batch.done && batch.position < this.position) batch.skip()
      if (!batch.done) return batch
      this.#batches.shift()
    }
    return undefined
  }

  /** Makes the consumer unless there is one, and asks ahead. */
  async open(): Promise<void> {
    if (this.#consumer === undefined) {
      this.#opening ??= this.#open().finally(() => {
        this.#opening = undefined
      })
      await this.#opening
    }
    this.ask()
  }

  /** Asks for more when little is left of what was asked for. */
  ask(): void {
    const consumer = this.#consumer
    if (consumer === undefined) return
    const most = Math.max(1, Math.min(aheadMessages, Math.floor(aheadBytes / this.#meanBytes)))
    const coming = consumer.pulls.reduce((sum, left) => sum + left, 0)
    const wanted = most - coming - this.#batches.length
    if (wanted < most / 2) return
    consumer.pulls.push(wanted)
    const subject = this.#api.subject(`CONSUMER.MSG.NEXT.${this.stream.names.stream}.${consumer.name}`)
    const request = JSON.stringify({
      batch: wanted,
      expires: expiresMs * nanoseconds,
      idle_heartbeat: heartbeatMs * nanoseconds,
    })
    consumer.silence ??= new Silence(() => this.reset())
    this.#api.link.publish(subject, request, consumer.mailbox.subject)
  }

  /** Whether the server has, or has sent, anything that has not come yet. */
  async more(): Promise<boolean> {
    const consumer = this.#consumer
    if (consumer === undefined) return true
    const info = await this.#api.consumerInfo(this.stream.names.stream, consumer.name)
    if (info === undefined) this.reset()
    if (this.#consumer !== consumer || info === undefined) return true
    return info.num_pending > 0 || info.delivered.consumer_seq > consumer.received
  }

  /** Gives the consumer up: what was on its way is asked for anew. */
  reset(): void {
    this.#consumer?.mailbox.close()
    this.#consumer?.silence?.stop()
    this.#consumer = undefined
    this.expecting = false
    this.changed()
  }

  close(): void {
    this.closed = true
    const consumer = this.#consumer
    this.reset()
    if (consumer === undefined || !this.#api.link.up) return
    const verb = `CONSUMER.DELETE.${this.stream.names.stream}.${consumer.name}`
    this.#api.link.publish(this.#api.subject(verb), '')
  }

  async #open(): Promise<void> {
    const name = newId()
    const floor = floorOf(this.#api, this.stream, this.partition)
    const created: Promise<ConsumerInfo> = this.#api.createConsumer(this.stream.names.stream, {
      name,
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: this.#next,
      replay_policy: 'instant',
      filter_subject: this.subject,
      max_waiting: 16,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: forgottenMs * nanoseconds,
    })
    const [{ low }, { num_pending: pending }] = await Promise.all([floor, created])
    this.position = Math.max(this.position, low)
    if (this.closed) return
    const mailbox = this.#api.link.openMailbox()
    const consumer: OpenConsumer = { name, mailbox, received: 0, pulls: [], silence: undefined }
    consumer.mailbox.handle = (message) => this.#take(consumer, message)
    this.#consumer = consumer
    this.expecting = pending > 0 && this.#batches.length === 0
  }

  #take(consumer: OpenConsumer, message: Msg): void {
    this.expecting = false
    consumer.silence?.heard()
    const delivered = message.reply ? parseAckSubject(message.reply) : undefined
    if (delivered === undefined) this.#ended(consumer, message)
    else if (delivered.consumerSequence !== consumer.received + 1) this.reset()
    else {
      consumer.received += 1
      if (consumer.pulls.length > 0 && --consumer.pulls[0]! <= 0) consumer.pulls.shift()
      this.#meanBytes = (3 * this.#meanBytes + message.data.length) / 4
      this.#next = delivered.sequence + 1
      try {
        const batch = new BatchReader(message.data, delivered.sequence, delivered.time)
        if (positionOf(delivered.sequence) + batch.count > this.position) this.#batches.push(batch)
      } catch (thrown) {
        this.failure = thrown
      }
    }
    if (consumer.pulls.length === 0) {
      consumer.silence?.stop()
      consumer.silence = undefined
    }
    this.changed()
  }

  /** A request ended: by its time, or because the server has its reasons. */
  #ended(consumer: OpenConsumer, message: Msg): void {
    const code = message.headers?.code
    if (code === 100) return
    if (code === 404 || code === 408) consumer.pulls.shift()
    else this.reset()
  }
}
