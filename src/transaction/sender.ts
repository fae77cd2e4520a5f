// What a handler sends, or a transaction: gathered in the order of the calls, though validators may take their time.
import { type Clock, systemClock } from '../core/clock.ts'
import type { Contract, EventContract, QueueContract } from '../core/contract.ts'
import { type Sealed, seal } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import type { Message } from '../core/message.ts'
import type { QueueCapabilities } from '../ports/capability.ts'
import type { Destination, OutboxMessage } from '../ports/database.ts'
import { type Carried, outgoing, type SendOptions, type SendOrigin } from '../queue/outgoing.ts'
import { checkDelay } from '../queue/rules.ts'

export interface OutgoingOptions {
  /** Names the message for ever. Default: a new id. */
  readonly id?: string
}

/**
 * Gathers messages. Nothing leaves before the commit. Data is validated at once; what an asynchronous validator
 * refuses, the commit refuses.
 */
export interface Sender {
  /**
   * Publishes an event of one's own context. Throws INVALID_DATA, UNKNOWN_EVENT for an event of another context,
   * COMMIT_TWICE once the commit has begun: inside it, the transaction has a sender of its own.
   */
  publish<In>(event: EventContract<In, unknown>, data: In, options?: OutgoingOptions): void
  /**
   * Sends to a queue of any context; returns the id of the message, which a later one can name in `after`. A delay and a time-to-live count from now; a duplicate is found when the message leaves the
   * outbox. Throws INVALID_DATA, INVALID_OPTION, CAPABILITY_MISSING, and COMMIT_TWICE as `publish` does.
   */
  send<In>(queue: QueueContract<In, unknown>, data: In, options?: SendOptions): string
}

/** Because of what is sent: a message, or a call. */
export type Cause = Pick<Message, 'id' | 'correlationid' | 'traceparent' | 'tracestate'>

/** Who sends. */
export interface Origin {
  readonly context: string
  readonly clock?: Clock
  /** Where its messages to queues go in the end. */
  readonly queueEngine?: { readonly name: string; readonly capabilities: QueueCapabilities | undefined }
}

/** What is kept of a message that is sent later. */
export type Kept = Pick<OutboxMessage, 'id' | 'key' | 'body'>

export class GatheringSender implements Sender {
  readonly #origin: Origin
  readonly #cause: Cause | undefined
  #sendOrigin: SendOrigin | undefined
  readonly #clock: Clock
  /** A message whose validator is still at work has its place already. */
  readonly #places: (OutboxMessage | undefined)[] = []
  readonly #validations: Promise<void>[] = []
  #closed = false

  constructor(origin: Origin, cause: Cause | undefined) {
    this.#origin = origin
    this.#cause = cause
    this.#clock = origin.clock ?? systemClock
  }

  publish<In>(event: EventContract<In, unknown>, data: In, options: OutgoingOptions = {}): void {
    if (event.stream !== this.#origin.context)
      throw new SpillwayError(
        'UNKNOWN_EVENT',
        `The context ${this.#origin.context} cannot publish ${event.type}.`,
      )
    this.#refuseClosed(event)
    const sealed = seal(event, data, { ...this.#from, ...options }, this.#clock)
    this.#add({ kind: 'stream', name: event.stream }, sealed)
  }

  send<In>(queue: QueueContract<In, unknown>, data: In, options: SendOptions = {}): string {
    this.#refuseClosed(queue)
    const { queueEngine } = this.#origin
    if (queueEngine?.capabilities) checkDelay(queueEngine.name, queueEngine.capabilities, options)
    const { id = newId(this.#clock) } = options
    const message = outgoing(queue, data, { ...options, id }, this.#from, this.#clock)
    this.#add({ kind: 'queue', name: queue.queue }, message)
    return id
  }

  /** A message to a queue as `send` would make it, for later: it is not among what is sent now. */
  sealed<In>(queue: QueueContract<In, unknown>, data: In): Kept | Promise<Kept> {
    const message = outgoing(queue, data, { id: newId(this.#clock) }, this.#from, this.#clock)
    const kept = ({ id, key, body }: Kept): Kept => ({ id, key, body })
    return message instanceof Promise ? message.then(kept) : kept(message)
  }

  /** A message that was sealed before, or is about to be. */
  resend(destination: Destination, sealed: Kept | Promise<Kept>): void {
    this.#place(sealed, ({ id, key, body }) => ({ destination, id, key, body }))
  }

  /** From now on it refuses messages: they would come too late. */
  close(): void {
    this.#closed = true
  }

  reopen(): void {
    this.#closed = false
  }

  /** True when some messages have to be waited for. */
  get isAsynchronous(): boolean {
    return this.#validations.length > 0
  }

  /** The messages in the order of the calls, without those that are still to be validated. */
  get messages(): readonly OutboxMessage[] {
    return this.#places.filter((message) => message !== undefined)
  }

  /** All messages. Rejects, whenever it is asked, when one is not valid: it can neither be sent nor left out. */
  async validated(): Promise<readonly OutboxMessage[]> {
    for (let count = -1; count !== this.#validations.length; ) {
      count = this.#validations.length
      await Promise.all(this.#validations)
    }
    return this.messages
  }

  /** Many units send nothing. */
  get #from(): SendOrigin {
    this.#sendOrigin ??= causeOf(this.#origin, this.#cause)
    return this.#sendOrigin
  }

  #refuseClosed(contract: Contract): void {
    if (this.#closed)
      throw new SpillwayError(
        'COMMIT_TWICE',
        `A message was sent to ${contract.type} after the commit had begun.`,
      )
  }

  #add(destination: Destination, sealed: (Sealed & Carried) | Promise<Sealed & Carried>): void {
    this.#place(sealed, ({ id, key, body, tombstone: _, ...carried }) => {
      const plain = destination.kind === 'queue' ? plainOf(carried) : undefined
      return { destination, id, key, body, ...(plain ? { plain } : {}) }
    })
  }

  #place<Given>(sealed: Given | Promise<Given>, messageOf: (sealed: Given) => OutboxMessage): void {
    const place = this.#places.push(undefined) - 1
    const fill = (done: Given): void => {
      this.#places[place] = messageOf(done)
    }
    if (sealed instanceof Promise) {
      const validation = sealed.then(fill)
      // Whoever asks for the messages hears of it.
      validation.catch(() => {})
      this.#validations.push(validation)
    } else fill(sealed)
  }
}

/** A message that asks nothing of its queue but to come later. */
function plainOf({ delayMs = 0, ...rules }: Carried): { readonly delayMs: number } | undefined {
  return Object.values(rules).every((value) => value === undefined) ? { delayMs } : undefined
}

/** What every message of a handler says of where it comes from, and why. */
function causeOf({ context }: Origin, cause: Cause | undefined): SendOrigin {
  return {
    source: `/${context}`,
    ...(cause === undefined ? {} : { causationId: cause.id, correlationId: cause.correlationid ?? cause.id }),
    ...(cause?.traceparent === undefined ? {} : { traceparent: cause.traceparent }),
    ...(cause?.tracestate === undefined ? {} : { tracestate: cause.tracestate }),
  }
}
