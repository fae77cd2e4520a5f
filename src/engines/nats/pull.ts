// One request for messages on the server: it stays there until it has brought some, or its time is over, whatever becomes
// of the claim that made it.
import type { Msg } from '@nats-io/transport-node'
import { type Delivered, parseAckSubject } from './ack-subject.ts'
import type { Api } from './api.ts'
import type { Mailbox } from './mailbox.ts'
import { consumerName, type KnownQueue } from './queues.ts'
import { heartbeatMs, longEnoughMs, Silence } from './silence.ts'

export interface Arrival extends Delivered {
  readonly data: Uint8Array
  readonly ackSubject: string
}

export type PullEnd = 'done' | 'refused' | 'absent' | 'broken' | 'silent'

const nanoseconds = 1_000_000
const lookMs = 100

export class Pull {
  readonly queue: KnownQueue
  /** What came and was not taken. */
  arrivals: Arrival[] = []
  end: PullEnd | undefined
  /** Called when something came, or it ended. */
  changed: () => void = () => {}
  readonly mailbox: Mailbox
  readonly #forget: () => void
  #silence: Silence | undefined
  #left: number

  /**
   * Ends as soon as it brought what there is; when there is nothing, after `waitMs`, or at once. Until then the mailbox is
   * for nothing else.
   */
  constructor(api: Api, mailbox: Mailbox, queue: KnownQueue, limit: number, waitMs: number) {
    this.queue = queue
    this.#left = limit
    this.mailbox = mailbox
    mailbox.handle = (message) => this.#take(message)
    this.#forget = api.link.listen({ broken: () => this.#finish('broken') })
    // Old servers keep a request for good that came when others were about to take all there was; in a cluster the one that
    // has the consumer may hear of a message a moment after the one that has the stream.
    const patient = api.link.info.cluster !== undefined || !api.link.atLeast(2, 10)
    const expiresMs = waitMs === 0 && patient ? lookMs : waitMs
    const expires = expiresMs === 0 ? {} : { expires: Math.ceil(expiresMs) * nanoseconds }
    const heartbeat = expiresMs < longEnoughMs ? {} : { idle_heartbeat: heartbeatMs * nanoseconds }
    if (expiresMs >= longEnoughMs) this.#silence = new Silence(() => this.#finish('silent'))
    const subject = api.subject(`CONSUMER.MSG.NEXT.${queue.names.stream}.${consumerName}`)
    api.link.publish(
      subject,
      JSON.stringify({ batch: limit, no_wait: true, ...expires, ...heartbeat }),
      mailbox.subject,
    )
  }

  /** How many it may still bring. */
  get left(): number {
    return this.#left
  }

  take(): Arrival[] {
    const taken = this.arrivals
    this.arrivals = []
    return taken
  }

  #take(message: Msg): void {
    this.#silence?.heard()
    const delivered = message.reply ? parseAckSubject(message.reply) : undefined
    if (delivered !== undefined) {
      this.arrivals.push({ ...delivered, data: message.data, ackSubject: message.reply! })
      if (--this.#left === 0) this.#finish('done')
      else this.changed()
      return
    }
    const code = message.headers?.code
    if (code === 100) return
    this.#finish(code === 503 ? 'absent' : code === 404 || code === 408 ? 'done' : 'refused')
  }

  #finish(end: PullEnd): void {
    if (this.end !== undefined) return
    this.end = end
    this.#silence?.stop()
    this.#forget()
    this.changed()
  }
}
