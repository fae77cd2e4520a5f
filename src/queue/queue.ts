// The queue as its user sees it: messages are sent, kept safe, and handled by one consumer each.

import { type Clock, systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { seal } from '../core/envelope.ts'
import { refuseInside } from '../core/scope.ts'
import { missing } from '../ports/capability.ts'
import type { DeadMessage, OutgoingMessage, QueueCount, QueuePort } from '../ports/queue.ts'
import { type ConsumeOptions, type Consumer, consume, type Handler } from './consumer.ts'

export interface SendOptions {
  /** Names the message for ever. Send the same id again to retry a send whose outcome is unknown. Default: a new id. */
  readonly id?: string
  /** Handled no earlier than this from now. Needs the engine's capability `delay`. */
  readonly delay?: Duration
  readonly correlationId?: string
}

/** A queue on one engine. Make it with `spillway.queue(…)`. */
export class Queue<In = unknown, Out = unknown> {
  readonly contract: QueueContract<In, Out>
  readonly #port: QueuePort
  readonly #engine: string
  readonly #clock: Clock

  constructor(contract: QueueContract<In, Out>, port: QueuePort, engine: string, clock: Clock = systemClock) {
    this.contract = contract
    this.#port = port
    this.#engine = engine
    this.#clock = clock
  }

  get name(): string {
    return this.contract.queue
  }

  /**
   * Sends one message and resolves with its id once it is durable. Concurrent calls share their writes.
   * Rejects with INVALID_DATA (nothing stored), TOO_LARGE, ENGINE_UNAVAILABLE; inside a handler with DIRECT_SEND.
   */
  async send(data: In, options: SendOptions = {}): Promise<string> {
    refuseInside(`send() on the queue ${this.name}`)
    const message = await this.#seal(data, options)
    await this.#port.send(this.name, [message])
    return message.id
  }

  /** Sends many messages in one write, in order. Every one is validated before any is stored. */
  async sendMany(items: readonly In[], options: Omit<SendOptions, 'id'> = {}): Promise<string[]> {
    refuseInside(`sendMany() on the queue ${this.name}`)
    const messages: OutgoingMessage[] = []
    for (const data of items) {
      const sealed = this.#seal(data, options)
      messages.push(sealed instanceof Promise ? await sealed : sealed)
    }
    if (messages.length > 0) await this.#port.send(this.name, messages)
    return messages.map((message) => message.id)
  }

  /** Handles messages until it is stopped. Several consumers, here or in other processes, share the work. */
  consume(handler: Handler<Out>, options: ConsumeOptions = {}): Consumer {
    return consume(this.contract, this.#port, handler, { clock: this.#clock, ...options })
  }

  count(): Promise<QueueCount> {
    return this.#port.count(this.name)
  }

  /** The dead letters, oldest first: at most `limit` (default 100) after the handle `after`. */
  deadLetters(options: { readonly limit?: number; readonly after?: string } = {}): Promise<DeadMessage[]> {
    return this.#port.deadLetters(this.name, { limit: 100, ...options })
  }

  /** Puts dead letters back, with their ids and no attempts; resolves with how many there were. */
  redrive(handles: readonly string[]): Promise<number> {
    return this.#port.redrive(this.name, handles)
  }

  #seal(data: In, options: SendOptions): OutgoingMessage | Promise<OutgoingMessage> {
    const { delay, ...attributes } = options
    if (delay !== undefined && !this.#port.capabilities.delay) throw missing(this.#engine, 'queue', 'delay')
    const delayMs = delay === undefined ? undefined : milliseconds(delay, 'delay')
    const source = `/${this.contract.context ?? ''}`
    const sealed = seal(this.contract, data, { source, ...attributes }, this.#clock)
    if (delayMs === undefined) return sealed
    return sealed instanceof Promise ? sealed.then((done) => ({ ...done, delayMs })) : { ...sealed, delayMs }
  }
}
